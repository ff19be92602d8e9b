import Support
import TestSupport
import Testing

/// What hosts save through the conductor, in Nova's own objects, on a database with Nova's own tables.
@Suite(.needsBroker, .needsNova, .timeLimit(.minutes(20)))
struct ConductorTests {
    /// The saves of instances: changes and the states expected.
    private static func instanceSaves(_ nova: ControlPlane) async throws -> [JSONValue] {
        let saves = try await nova.saves()
        for save in saves { #expect(save["raised"] == nil, "\(save)") }
        for save in saves where save["object"] == "Instance" { #expect(save["version"] == "2.7") }
        return saves.filter { $0["object"] == "Instance" }
    }

    @Test(arguments: await NovaRelease.available())
    func bootAndDeleteAreSavedStepByStep(release: NovaRelease) async throws {
        try await ControlPlane.run(release, conductor: true) { nova in
            let uuid = try await nova.boot()
            let boot = try await Self.instanceSaves(nova)
            #expect(boot.map { $0["method"]?.stringValue } == ["save", "save"])
            #expect(boot.first?["expected"] == ["scheduling", nil])
            #expect(boot.first?["changes"]?["task_state"] == "spawning")
            #expect(boot.last?["expected"] == ["spawning"])
            #expect(
                boot.last?["changes"]?.objectValue.map { Set($0.keys) } == [
                    "vm_state", "power_state", "task_state", "launched_at",
                ]
            )
            let active = try await nova.show(uuid)
            #expect(active["host"] == "host-a")
            #expect(active["node"] == "host-a")
            #expect(active["power_state"] == 1)
            // What users are told is written after the state.
            try await eventually(timeout: .seconds(120), "the event has ended") {
                let event = try await nova.show(uuid)["events"]?.arrayValue?.first
                return event?["result"] == "Success" && event?["event"] == "compute__do_build_and_run_instance"
            }

            try await nova.ask("begin", ["uuid": .string(uuid), "task_state": "deleting"])
            try await nova.compute("terminate_instance", uuid, ["bdms": .array([])])
            try await eventually(timeout: .seconds(120), "the record is deleted") {
                try await nova.show(uuid)["deleted"] == true
            }
            let delete = try await Self.instanceSaves(nova)
            #expect(delete.map { $0["method"]?.stringValue } == ["save", "destroy"])
            #expect(delete.first?["changes"]?["vm_state"] == "deleted")
            #expect(delete.first?["expected"] == "anything")
            #expect(try await nova.show(uuid)["power_state"] == 0)
        }
    }

    @Test(arguments: await NovaRelease.available())
    func powerOperationsEndInTheStateThatUsersSee(release: NovaRelease) async throws {
        try await ControlPlane.run(release, conductor: true) { nova in
            let uuid = try await nova.boot()
            _ = try await nova.saves()
            for (method, arguments, task, state, power) in [
                ("stop_instance", [:], "powering-off", "stopped", 4),
                ("start_instance", [:], "powering-on", "active", 1),
                ("pause_instance", [:], "pausing", "paused", 3),
                ("unpause_instance", [:], "unpausing", "active", 1),
                ("suspend_instance", [:], "suspending", "suspended", 7),
                ("resume_instance", [:], "resuming", "active", 1),
                ("reboot_instance", ["block_device_info": nil, "reboot_type": "SOFT"], "rebooting", "active", 1),
                ("reboot_instance", ["block_device_info": nil, "reboot_type": "HARD"], "rebooting_hard", "active", 1),
            ] as [(String, JSONObject, String, String, Int64)] {
                try await nova.ask("begin", ["uuid": .string(uuid), "task_state": .string(task)])
                try await nova.compute(method, uuid, arguments, action: "test")
                let shown = try await nova.wait(uuid, state)
                #expect(shown["power_state"]?.intValue == power, "\(method)")
                let saves = try await Self.instanceSaves(nova)
                #expect(saves.count == 1, "\(method)")
                #expect(saves.first?["expected"]?.arrayValue?.contains(.string(task)) == true, "\(method)")
                #expect(saves.first?["set"] == ["id", "power_state", "task_state", "uuid", "vm_state"])
            }
            let shown = try await nova.show(uuid)
            #expect(shown["faults"] == .array([]))
        }
    }

    @Test(arguments: await NovaRelease.available())
    func whatFailsLeavesNoInstanceInATaskState(release: NovaRelease) async throws {
        try await ControlPlane.run(release, conductor: true) { nova in
            // Nothing of it is on the host.
            let uuid = try await nova.create(on: "host-a")
            try await nova.ask("begin", ["uuid": .string(uuid), "task_state": "powering-off"])
            try await nova.compute("stop_instance", uuid, [:], action: "stop")
            var shown = try await nova.wait(uuid, "active")
            try await eventually(timeout: .seconds(120), "the failed event") {
                shown = try await nova.show(uuid)
                return shown["events"]?.arrayValue?.first?["result"] == "Error"
            }
            #expect(shown["faults"]?.arrayValue?.first?["code"] == 404)
            // Nothing a host could do.
            try await nova.ask("begin", ["uuid": .string(uuid), "task_state": "rescuing"])
            try await nova.compute(
                "rescue_instance",
                uuid,
                ["rescue_password": "secret", "rescue_image_ref": nil, "clean_shutdown": true]
            )
            try await nova.wait(uuid, "active")
            // A boot for which the host has no image.
            let broken = try await nova.create()
            try await nova.ask(
                "build",
                ["uuid": .string(broken), "host": "host-a", "image": ["id": "00000000-0000-4000-8000-000000000000"]]
            )
            let failed = try await nova.wait(broken, "error")
            #expect(failed["host"]?.isNull == true)
            try await eventually(timeout: .seconds(120), "the fault") {
                try await nova.show(broken)["faults"]?.arrayValue?.isEmpty == false
            }
        }
    }

    @Test func anInstanceThatIsBeingDeletedIsNotBuilt() async throws {
        try await ControlPlane.run(conductor: true) { nova in
            let uuid = try await nova.create(on: nil, ["vm_state": "error"])
            try await nova.ask("begin", ["uuid": .string(uuid), "task_state": "deleting"])
            try await nova.ask("build", ["uuid": .string(uuid), "host": "host-a", "image": ControlPlane.image])
            try await eventually(timeout: .seconds(120), "the save that is refused") {
                try await nova.saves().contains { $0["raised"] == "UnexpectedDeletingTaskStateError" }
            }
            try await nova.compute("get_host_uptime", nil, ["host": "host-a"])
            let shown = try await nova.show(uuid)
            #expect(shown["task_state"] == "deleting")
            #expect(shown["host"]?.isNull == true)
        }
    }

    @Test func aSaveWaitsForTheConductorToComeBack() async throws {
        try await ControlPlane.run(conductor: true, options: ["nova": ["rpc_response_timeout": "1"]]) { nova in
            let uuid = try await nova.boot()
            try await nova.ask("begin", ["uuid": .string(uuid), "task_state": "pausing"])
            try await nova.ask("conductor", ["serve": false])
            try await nova.compute("pause_instance", uuid)
            try await nova.daemon.waitForLog("conductor does not answer")
            #expect(try await nova.show(uuid)["task_state"] == "pausing")
            try await nova.ask("conductor", ["serve": true])
            let shown = try await nova.wait(uuid, "paused")
            #expect(shown["power_state"] == 3)
        }
    }
}
