import Support
import TestSupport
import Testing

/// Nova's client of the compute RPC drives hosts that know of no conductor.
@Suite(.needsBroker, .needsNova, .timeLimit(.minutes(20)))
struct ComputeAPITests {
    @Test(arguments: await NovaRelease.available())
    func drivesAHostWithoutAConductor(release: NovaRelease) async throws {
        try await ControlPlane.run(release, conductor: false) { nova in
            let uptime = try await nova.compute("get_host_uptime", nil, ["host": "host-a"])["result"]?.stringValue
            #expect(uptime?.contains("load average") == true)
            let enabled = try await nova.compute("set_host_enabled", nil, ["enabled": false, "host": "host-a"])
            #expect(enabled["result"] == "disabled")

            let uuid = try await nova.create(on: "host-a")
            try await nova.ask("build", ["uuid": .string(uuid), "host": "host-a", "image": ControlPlane.image])
            try await eventually(timeout: .seconds(120), "console of the new guest") {
                let answer = try? await nova.compute("get_console_output", uuid, ["tail_length": nil])
                return answer?["result"]?.stringValue?.isEmpty == false
            }
            let short = try await nova.compute("get_console_output", uuid, ["tail_length": "1"])["result"]?.stringValue
            #expect(short?.split(separator: "\n", omittingEmptySubsequences: false).count == 1)

            let figures = try await nova.compute("get_diagnostics", uuid)["result"]
            #expect((figures?["boots"]?.intValue ?? 0) >= 1)
            let object = try await nova.compute("get_instance_diagnostics", uuid)
            #expect(object["object"] == "Diagnostics")
            #expect(object["version"] == "1.0")
            #expect(object["result"]?["state"] == "running")

            try await Self.power(nova, uuid)
            try await nova.compute("terminate_instance", uuid, ["bdms": .array([])])
            try await eventually(timeout: .seconds(120), "the instance is gone") {
                try await nova.failure("get_console_output", uuid, ["tail_length": nil])?.className
                    == "InstanceNotFound"
            }
        }
    }

    private static func power(_ nova: ControlPlane, _ uuid: String) async throws {
        // Called, so that the answer comes when it is done.
        try await nova.compute("stop_instance", uuid, ["do_cast": false, "clean_shutdown": false])
        #expect(try await nova.failure("get_diagnostics", uuid)?.className == "InstanceInvalidState")
        try await nova.compute("start_instance", uuid)
        for (method, arguments) in [
            ("pause_instance", [:]), ("unpause_instance", [:]), ("suspend_instance", [:]), ("resume_instance", [:]),
            ("reboot_instance", ["block_device_info": nil, "reboot_type": "HARD"]),
        ] as [(String, JSONObject)] {
            try await nova.compute(method, uuid, arguments)
        }
        try await eventually(timeout: .seconds(120), "the guest runs again") {
            let figures = try? await nova.compute("get_diagnostics", uuid)["result"]
            return (figures?["boots"]?.intValue ?? 0) >= 3
        }
    }

    @Test(arguments: await NovaRelease.available())
    func failuresArriveAsTheExceptionsThatTheAPIExpects(release: NovaRelease) async throws {
        try await ControlPlane.run(release, conductor: false) { nova in
            let uuid = try await nova.create(on: "host-a")
            for (method, arguments, name) in [
                ("get_console_output", ["tail_length": 5], "InstanceNotFound"),
                ("get_diagnostics", [:], "InstanceNotFound"),
                ("get_vnc_console", ["console_type": "novnc"], "NotImplementedError"),
                ("get_serial_console", ["console_type": "serial"], "NotImplementedError"),
                ("set_admin_password", ["new_pass": "secret"], "NotImplementedError"),
                ("quiesce_instance", [:], "NotImplementedError"),
                (
                    "attach_interface", ["network_id": nil, "port_id": nil, "requested_ip": nil, "tag": nil],
                    "AttachInterfaceNotSupported"
                ),
                (
                    "reserve_block_device_name",
                    [
                        "device": nil, "volume_id": .string(uuid), "disk_bus": nil, "device_type": nil, "tag": nil,
                        "multiattach": false,
                    ], "NotImplementedError"
                ),
            ] as [(String, JSONObject, String)] {
                let raised = try await nova.failure(method, uuid, arguments)
                #expect(raised?.className == name, "\(method)")
                if name == "InstanceNotFound" { #expect(raised?.code == 404) }
            }
            let raised = try await nova.failure("host_power_action", nil, ["host": "host-a", "action": "reboot"])
            #expect(raised?.className == "NotImplementedError")
            // Whatever the client can ask has an answer, and no method is unknown.
            let answers = try await nova.ask("probe", ["host": "host-a"])["answers"]?.objectValue ?? [:]
            #expect(answers.count > 60)
            let silent: Set<String> = ["NoSuchMethod", "MessagingTimeout", "UnsupportedVersion"]
            for answer in answers {
                #expect(!silent.contains(answer.value.stringValue ?? ""), "\(answer.key)")
            }
            let cached = try await nova.compute("cache_images", nil, ["host": "host-a", "image_ids": ["one"]])
            #expect(cached["result"]?["one"] == "unsupported")
        }
    }
}
