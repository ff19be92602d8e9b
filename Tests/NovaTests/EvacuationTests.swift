import Support
import TestSupport
import Testing

/// Instances of a host that is gone, at the host that Nova's scheduler has chosen for them.
@Suite(.needsBroker, .needsNova, .timeLimit(.minutes(5)))
struct EvacuationTests {
    /// What an operation wrote of the instance and its migration, in order.
    private static func steps(_ nova: ControlPlane) async throws -> [String] {
        let saves = try await nova.saves()
        for save in saves { #expect(save["raised"] == nil, "\(save)") }
        return saves.filter { ["Instance", "Migration"].contains($0["object"]?.stringValue) }.map { save in
            let changes = save["changes"]
            if save["object"] == "Migration" { return "migration \(changes?["status"]?.stringValue ?? "")" }
            return changes?["task_state"]?.stringValue ?? "\(changes?["vm_state"]?.stringValue ?? "") at last"
        }
    }

    /// The disks are where both hosts see them. Whether the old one is really gone takes a minute to find out.
    @Test func disksOnSharedStorageAreTakenAsTheyAre() async throws {
        try await ControlPlane.run(conductor: true, sharesStorage: true) { nova in
            let uuid = try await nova.boot()
            let (stopped, third) = (try await nova.boot(), try await nova.boot())
            try await nova.ask("begin", ["uuid": .string(stopped), "task_state": "powering-off"])
            try await nova.compute("stop_instance", stopped, ["clean_shutdown": false])
            try await nova.wait(stopped, "stopped")
            try await nova.restart(only: ["host-b"])

            // What was off stays off, and what ran is off as well if that is asked for.
            let all =
                [
                    (uuid, ["on_shared_storage": true], "active"), (stopped, [:], "stopped"),
                    (third, ["target_state": "stopped"], "stopped"),
                ] as [(String, JSONObject, String)]
            var numbers: [String: Int64] = [:]
            for (each, options, _) in all { numbers[each] = try await nova.evacuate(each, to: "host-b", options) }
            for (each, _, state) in all {
                let number = try #require(numbers[each])
                try await nova.wait(each, migration: number, is: "done", timeout: .seconds(150))
                let shown = try await nova.show(each, migration: number)
                #expect(shown["host"] == "host-b" && shown["node"] == "host-b" && shown["destination"] == "host-b")
                #expect(shown["vm_state"]?.stringValue == state && shown["task_state"]?.isNull == true)
                #expect(shown["power_state"] == (state == "active" ? 1 : 4))
                #expect(shown["faults"] == .array([]))
                #expect(shown["events"]?.arrayValue?.contains { $0["event"] == "compute_rebuild_instance" } == true)
            }
            // The log goes on where it was: the guest has booted twice.
            try await nova.waitForConsole(uuid, lines: 6)

            // The old host gives way, and says that it has taken note.
            try await nova.restart(only: ["host-a", "host-b"])
            for (each, number) in numbers {
                try await nova.wait(each, migration: number, is: "completed")
                #expect(nova.hasFiles(each, "host-b"))
            }
            #expect(try await nova.failure("get_diagnostics", uuid) == nil)
            #expect(try await nova.show(uuid)["host"] == "host-b")
        }
    }

    /// On shared storage the new host has made the instance its own before it fails. It can try again; and the old one,
    /// which gives way when it is back, takes back what the new one does not have.
    @Test func whatFailsOnSharedStorageIsNotLost() async throws {
        // The answer of a host that is gone is waited for less long.
        let options = ["migration": ["peer_timeout": "5"], "nova": ["sync_power_state_interval": "1"]]
        try await ControlPlane.run(conductor: true, options: options, sharesStorage: true) { nova in
            let (again, back) = (try await nova.boot(), try await nova.boot())
            try await nova.restart(only: ["host-b"], ["fault_create_machine": "first:2 internal"])
            for uuid in [again, back] {
                let number = try await nova.evacuate(uuid, to: "host-b")
                try await nova.wait(uuid, migration: number, is: "failed", timeout: .seconds(150))
                #expect(try await nova.wait(uuid, "error")["host"] == "host-a")
            }
            let number = try await nova.evacuate(again, to: "host-b")
            try await nova.wait(again, migration: number, is: "done", timeout: .seconds(150))
            #expect(try await nova.wait(again, "active")["host"] == "host-b")

            try await nova.restart(only: ["host-a", "host-b"])
            try await nova.wait(again, migration: number, is: "completed")
            let shown = try await nova.wait(back, "stopped")
            #expect(shown["host"] == "host-a" && shown["power_state"] == 4)
            try await nova.ask("begin", ["uuid": .string(back), "task_state": "powering-on"])
            try await nova.compute("start_instance", back)
            try await nova.wait(back, "active")
            for (uuid, host) in [(again, "host-b"), (back, "host-a")] {
                #expect(try await nova.failure("get_diagnostics", uuid) == nil)
                #expect(try await nova.show(uuid)["host"]?.stringValue == host)
            }
            // Neither host takes it for the other one's.
            try await nova.restart(only: ["host-a", "host-b"])
            try await eventually(timeout: .seconds(120), "it is where it was") {
                let shown = try await nova.show(back)
                return shown["host"] == "host-a" && shown["vm_state"] == "active"
            }
            #expect(nova.hasFiles(back, "host-a"))
        }
    }

    /// Whoever ends in the middle of it goes on with it.
    @Test func aCrashInTheMiddleIsNotTheEndOfIt() async throws {
        try await ControlPlane.run(conductor: true, cap: "6.1") { nova in
            let uuid = try await nova.boot()
            try await nova.restart(only: ["host-b"], ["delay_create_machine_ms": "600000"])
            _ = try await nova.saves()
            let number = try await nova.evacuate(uuid, to: "host-b", ["on_shared_storage": false])
            try await eventually(timeout: .seconds(120), "the machine is being made") {
                try await nova.show(uuid)["task_state"] == "rebuild_spawning" && nova.hasFiles(uuid, "host-b")
            }
            // Its host returns in the middle of it: the machine there goes, and the files may still be needed.
            try await nova.restart(only: ["host-a", "host-b"])
            try await nova.wait(uuid, migration: number, is: "done")
            #expect(try await nova.wait(uuid, "active")["host"] == "host-b")
            #expect(try await nova.failure("get_diagnostics", uuid) == nil)
            #expect(nova.hasFiles(uuid, "host-b") && nova.hasFiles(uuid, "host-a"))
            // Done, they are not.
            try await nova.restart(only: ["host-a", "host-b"])
            try await nova.wait(uuid, migration: number, is: "completed")
            #expect(!nova.hasFiles(uuid, "host-a") && nova.hasFiles(uuid, "host-b"))
            #expect(try await nova.show(uuid)["faults"] == .array([]))
        }
    }

    @Test func whatCannotBeTakenOverIsInErrorAndLeavesNothing() async throws {
        try await ControlPlane.run(conductor: true) { nova in
            let uuid = try await nova.boot()
            try await nova.restart(only: ["host-b"], ["fault_create_disk": "first:1 internal"])
            for (fields, complaint) in [
                (["on_shared_storage": true], "shared storage"), (["on_shared_storage": false], "simulated fault"),
            ] as [(JSONObject, String)] {
                let number = try await nova.evacuate(uuid, to: "host-b", fields)
                try await nova.wait(uuid, migration: number, is: "failed")
                let shown = try await nova.wait(uuid, "error")
                #expect(shown["host"] == "host-a")
                try await eventually(timeout: .seconds(120), "the fault") {
                    let message = try await nova.show(uuid)["faults"]?.arrayValue?.first?["message"]?.stringValue
                    return message?.contains(complaint) == true
                }
                #expect(!nova.hasFiles(uuid, "host-b"))
            }
            // From error it can be tried again.
            _ = try await nova.saves()
            let number = try await nova.evacuate(uuid, to: "host-b")
            try await nova.wait(uuid, migration: number, is: "done")
            #expect(
                try await Self.steps(nova) == [
                    "migration pre-migrating", "rebuilding", "rebuild_block_device_mapping", "rebuild_spawning",
                    "active at last", "migration done",
                ]
            )
            #expect(try await nova.wait(uuid, "active")["host"] == "host-b")
        }
    }

    /// It was being built when its host died, has run elsewhere since, and its host knows of nothing.
    @Test func whatRunsElsewhereIsNotBuiltAgain() async throws {
        try await ControlPlane.run(
            conductor: true,
            options: ["simulated": ["delay_create_machine_ms": "600000"]]
        ) { nova in
            let uuid = try await nova.create(on: nil)
            try await nova.ask("build", ["uuid": .string(uuid), "host": "host-a", "image": ControlPlane.image])
            try await eventually(timeout: .seconds(120), "the machine is being made") {
                try await nova.show(uuid)["task_state"] == "spawning" && nova.hasFiles(uuid, "host-a")
            }
            try await nova.daemon.kill()
            let elsewhere: JSONValue = ["vm_state": "active", "task_state": nil, "host": "host-b", "node": "host-b"]
            try await nova.ask("alter", ["uuid": .string(uuid), "fields": elsewhere])
            try await nova.restart(only: ["host-a", "host-b"])
            try await nova.daemon.waitForLog("method=build_and_run_instance outcome=ok")
            let shown = try await nova.show(uuid)
            #expect(shown["vm_state"] == "active" && shown["host"] == "host-b" && shown["task_state"]?.isNull == true)
            #expect(!nova.hasFiles(uuid, "host-a"))
        }
    }
}
