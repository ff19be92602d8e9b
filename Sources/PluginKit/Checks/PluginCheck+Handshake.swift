import HostConformance
import Support

extension PluginCheck {
    static let handshake = [
        PluginCheck("the handshake is complete", section: "3") { bench in
            let session = try await bench.start()
            let nonce = UniqueID.make()
            let hello = try await bench.greet(session, nonce: nonce)
            try checkValue(hello["version"]?.intValue, 1, "version")
            try checkValue(hello["nonce"]?.stringValue, nonce, "nonce")
            try isComplete(hello)
        },
        PluginCheck("the plugin waits for a worker that is slow", section: "3") { bench in
            let session = try await bench.start()
            // Nothing to wait for: it is what does not happen that is looked at.
            try await Task.sleep(for: .milliseconds(700))
            let early = session.look { $0.hello != nil || $0.refusal != nil || !$0.violations.isEmpty }
            try check(!early, "nothing before the worker's hello", seen: "the plugin has written something")
            let nonce = UniqueID.make()
            let bytes = try WireBytes.message(bench.helloMessage(nonce: nonce))
            for part in [bytes[..<3], bytes[3..<9], bytes[9...]] {
                try await session.send(bytes: Array(part))
                try await Task.sleep(for: .milliseconds(50))
            }
            // A plugin that starts slowly and does not wait has a hello that cannot know the worker's.
            let hello = try await session.until("the plugin's hello", within: bench.settings.startLimit) { $0.hello }
            try checkValue(hello["nonce"]?.stringValue, nonce, "the nonce of its hello")
        },
        PluginCheck("of several versions the highest common one is chosen", section: "3") { bench in
            let session = try await bench.start()
            let hello = try await bench.greet(session, ["versions": [1, 4711, 4712]])
            try checkValue(hello["version"]?.intValue, 1, "version")
        },
        PluginCheck("without a common version the plugin says its own and exits with status 76", section: "3") {
            bench in
            let session = try await bench.start()
            let hello = try await bench.greet(session, ["versions": [4711]])
            let versions = hello["versions"]?.arrayValue?.compactMap(\.intValue) ?? []
            try check(versions.contains(1), "the plugin's versions", seen: WireText.short(hello))
            try check(hello["version"]?.isNull ?? true, "no version", seen: WireText.short(hello))
            let end = try await session.untilEnd("without a common version")
            if session.process != nil { try checkValue(end, .exited(76), "its end") }
        },
        PluginCheck("members of the hello that are unknown, or missing, do no harm", section: "3") { bench in
            let session = try await bench.start()
            _ = try await bench.greet(
                session,
                ["novelty": ["a": [1, 2]], "worker": .null, "limits": .null]
            )
            try await session.ping(1)
        },
        PluginCheck("the host keeps its id over connections", section: "3") { bench in
            let first = try await bench.fresh().hello
            let second = try await bench.fresh().hello
            try checkEqual(second.hostID, first.hostID, "host.id")
        },
        PluginCheck(
            "started by hand it says what it is and exits with status 1",
            section: "1",
            shapes: [.child, .oneshot],
            isAdvice: true
        ) { bench in
            var environment = bench.environment
            environment["VMOPS_PLUGIN"] = nil
            let session = try await bench.start(environment: environment)
            let end: PluginProcess.End?
            do {
                end = try await session.untilEnd("when VMOPS_PLUGIN is not set")
            } catch {
                // What it still says must not be held against the next check.
                await bench.stop()
                _ = bench.takeViolations()
                throw error
            }
            // What it says to a person is no frame.
            session.look { $0.violations = [] }
            try checkValue(end, .exited(1), "its end")
        },
    ]

    static func isComplete(_ hello: JSONObject) throws {
        func isThere(_ value: JSONValue?, _ name: String) throws {
            try check(value?.stringValue?.isEmpty == false, "\(name), a string", seen: WireText.short(value ?? .null))
        }
        try checkValue(hello["protocol"]?.stringValue, "vmops-plugin", "protocol")
        let versions = hello["versions"]?.arrayValue?.compactMap(\.intValue) ?? []
        try check(versions.contains(1), "versions with 1 among them", seen: WireText.short(hello["versions"] ?? .null))
        try isThere(hello["plugin"]?["name"], "plugin.name")
        try isThere(hello["plugin"]?["version"], "plugin.version")
        try isThere(hello["host"]?["id"], "host.id")
        try isThere(hello["host"]?["name"], "host.name")
        try isThere(hello["host"]?["hypervisor_type"], "host.hypervisor_type")
        let version = hello["host"]?["hypervisor_version"]
        try check(
            version?.intValue != nil,
            "host.hypervisor_version, an integer",
            seen: WireText.short(version ?? .null)
        )
        for name in ["flags", "disk_formats", "volume_types", "network_types"] {
            guard let list = hello["capabilities"]?[name], !list.isNull else { continue }
            let texts = list.arrayValue?.compactMap(\.stringValue)
            try check(
                texts != nil && texts?.count == list.arrayValue?.count,
                "capabilities.\(name), a list of strings",
                seen: WireText.short(list)
            )
        }
        let formats = hello["capabilities"]?["disk_formats"]?.arrayValue ?? []
        try check(!formats.isEmpty, "at least one of capabilities.disk_formats", seen: "none")
        for (name, least) in [("max_frame", 4096), ("max_parallel", 1), ("console_buffer", 0)] {
            guard let value = hello["limits"]?[name], !value.isNull else { continue }
            let seen = WireText.short(value)
            try check((value.intValue ?? -1) >= Int64(least), "limits.\(name), at least \(least)", seen: seen)
        }
        if let remote = hello["remote_files"], !remote.isNull {
            try check(remote.boolValue != nil, "remote_files, a boolean", seen: WireText.short(remote))
        }
    }
}
