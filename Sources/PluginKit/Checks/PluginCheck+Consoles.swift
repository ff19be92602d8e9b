import HostBackend
import HostConformance
import Support

extension PluginCheck {
    static let consoles = [
        PluginCheck(
            "everything that was printed comes before the stream ends with 'stopped'",
            section: "9",
            needs: [.consoleOutput]
        ) {
            bench in
            try await withConsole(bench, "whole") { subject, spec, session, stream in
                try await printed(subject, session, stream)
                _ = try await subject.host.setState(spec.uuid, .off, deadline: ConformanceCheck.limit)
                try checkEqual(try await end(session, stream), "stopped", "the reason of the end")
            }
        },
        PluginCheck(
            "a closed console ends with 'closed', and can be opened again",
            section: "9",
            needs: [.consoleOutput]
        ) { bench in
            try await withConsole(bench, "closed") { subject, spec, session, stream in
                _ = try await session.result("console.close", ["stream": .int(stream)])
                try checkEqual(try await end(session, stream), "closed", "the reason of the end")
                let again = try await open(session, spec)
                try check(again != stream, "a new stream id", seen: "\(stream) again")
            }
        },
        PluginCheck(
            "a second console.open ends the first stream, or is refused if it must not",
            section: "9",
            needs: [.consoleOutput]
        ) {
            bench in
            try await withConsole(bench, "second") { subject, spec, session, stream in
                try await session.error(
                    [.busy],
                    "console.open",
                    ["uuid": .string(spec.uuid.text), "takeover": false],
                    what: "a second console.open with takeover false"
                )
                let second = try await open(session, spec)
                try checkEqual(try await end(session, stream), "superseded", "the reason of the first one's end")
                try check(session.look { $0.streams[second]?.endReason == nil }, "the second one is open")
            }
        },
        PluginCheck(
            "what is printed while nobody reads comes to the next connection",
            section: "9",
            needs: [.consoleOutput, .consoleResumable]
        ) {
            bench in
            guard let bootText = bench.settings.bootText else {
                throw CheckSkipped("the guest's boot text is not known")
            }
            try await withConsole(bench, "kept") { subject, spec, session, stream in
                // Wherever the connection breaks.
                _ = try await session.until("the first bytes") {
                    ($0.streams[stream]?.bytes.isEmpty ?? true) ? nil : true
                }
                await bench.stop()
                let before = session.look { $0.streams[stream] ?? WireStream(start: 0) }
                let (next, _) = try await bench.fresh()
                let reopened = try await open(next, spec, from: before.next)
                let start = next.look { $0.streams[reopened]?.start ?? 0 }
                try check(start <= before.next, "the offset \(before.next), or one before", seen: "\(start)")
                _ = try await next.until("\(bootText.debugDescription) in one piece over both connections") {
                    state -> Bool? in
                    guard let after = state.streams[reopened] else { return nil }
                    let overlap = Int(before.next - start)
                    let all = before.bytes + after.bytes.dropFirst(overlap)
                    return String(decoding: all, as: UTF8.self).contains(bootText) ? true : nil
                }
            }
        },
        PluginCheck(
            "without credit no more than 256 KiB come, and nothing is lost unsaid",
            section: "9",
            needs: [.consoleOutput]
        ) { bench in
            let (metadata, typing) = (bench.settings.floodMetadata, bench.settings.floodTyping)
            guard metadata != nil || typing != nil else {
                throw CheckSkipped("no guest was named that prints more than 256 KiB")
            }
            try await withConsole(bench, "flood", metadata: metadata) { subject, spec, session, stream in
                if let typing {
                    try await printed(subject, session, stream)
                    try await subject.host.writeConsole(spec.uuid, Array((typing + "\n").utf8))
                }
                // More than the credit is a violation, and so is a gap without 'dropped'.
                _ = try await session.until("256 KiB", within: .seconds(60)) { state in
                    (state.streams[stream]?.credit ?? 1) == 0 ? true : nil
                }
                for size in [1, 777, 65_536, 3, 131_072] {
                    let wanted = session.look { state -> Int in
                        state.streams[stream]?.grant(size)
                        return (state.streams[stream]?.bytes.count ?? 0) + size
                    }
                    try await session.send(["kind": "credit", "stream": .int(stream), "bytes": .int(Int64(size))])
                    _ = try await session.until("\(size) bytes more", within: .seconds(60)) { state in
                        (state.streams[stream]?.bytes.count ?? 0) >= wanted ? true : nil
                    }
                }
                try await session.ping(51)
                try inOrder(session.look { $0.streams[stream] })
            }
        },
        PluginCheck(
            "the console can be opened before the machine starts",
            section: "6",
            needs: [.consoleOutput, .consolePreboot]
        ) { bench in
            let subject = try await PluginSubject(bench)
            let (session, _) = try await bench.connection()
            let spec = try await subject.newSpec("preboot", bare: false)
            try await subject.host.createMachine(spec)
            let stream = try await open(session, spec)
            _ = try await subject.host.setState(spec.uuid, .running, deadline: ConformanceCheck.limit)
            try await printed(subject, session, stream)
            try await subject.host.deleteMachine(spec.uuid)
        },
    ]

    /// A machine that runs, with its console open.
    private static func withConsole(
        _ bench: PluginBench,
        _ name: String,
        metadata: [String: String]? = nil,
        _ body: (PluginSubject, MachineSpec, WireSession, Int64) async throws -> Void
    ) async throws {
        let subject = try await PluginSubject(bench)
        let (session, _) = try await bench.connection()
        let spec = try await subject.newSpec(name, bare: false, metadata: metadata ?? bench.settings.metadata)
        try await subject.host.createMachine(spec)
        _ = try await subject.host.setState(spec.uuid, .running, deadline: ConformanceCheck.limit)
        try await body(subject, spec, session, try await open(session, spec))
        // The check may have gone over to another connection.
        try await PluginSubject(bench).host.deleteMachine(spec.uuid)
    }

    /// Opens a console.
    ///
    /// - Throws: ``CheckSkipped`` when the console is a path.
    static func open(_ session: WireSession, _ spec: MachineSpec, from: UInt64? = nil) async throws -> Int64 {
        var params: JSONObject = ["uuid": .string(spec.uuid.text)]
        if let from { params["from"] = .int(Int64(clamping: from)) }
        let result = try await session.result("console.open", params)
        if result["path"]?.stringValue != nil { throw CheckSkipped("the plugin's consoles are paths, not streams") }
        guard let stream = result["stream"]?.intValue, stream > 0 else {
            throw CheckFailure(expected: "a stream id from 1 on", seen: WireText.short(result))
        }
        return stream
    }

    /// Waits until the guest is up, or has printed anything.
    static func printed(_ subject: PluginSubject, _ session: WireSession, _ stream: Int64) async throws {
        let text = subject.bootText
        _ = try await session.until(
            text.map { "\($0.debugDescription) on the console" } ?? "output",
            within: ConformanceCheck.limit
        ) { state -> Bool? in
            guard let bytes = state.streams[stream]?.bytes, !bytes.isEmpty else { return nil }
            guard let text else { return true }
            return String(decoding: bytes, as: UTF8.self).contains(text) ? true : nil
        }
    }

    /// Waits for the end of a stream, and returns its reason.
    static func end(_ session: WireSession, _ stream: Int64) async throws -> String {
        try await session.until("the end of the stream") { $0.streams[stream]?.endReason }
    }

    /// Lines that carry growing numbers show what went missing; others show nothing.
    private static func inOrder(_ stream: WireStream?) throws {
        guard let stream, stream.dropped == 0 else { return }
        let numbers = lineNumbers(String(decoding: stream.bytes, as: UTF8.self)).dropLast()
        for (before, after) in zip(numbers, numbers.dropFirst()) {
            try check(after == before + 1, "line \(before + 1) after line \(before)", seen: "line \(after)")
        }
    }
}
