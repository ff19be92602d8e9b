import DaemonBench
import Foundation
import Support
import TestSupport
import Testing

/// Real machines that are resized and moved while they are off.
@Suite(.enabled(if: GuestBench.isPossible, Comment(rawValue: GuestBench.missing)), .timeLimit(.minutes(5)))
struct ResizeTests {
    private static func rootSize(_ guests: GuestBench, _ instance: TestInstance, on host: String) throws -> Int {
        try InstanceDisks.rootSize(in: guests.bench.daemon.statePath + "/\(host)/instances/" + instance.uuid)
    }

    /// The guest writes a pattern before the move and reads it after.
    @Test func aMachineGrowsMovesAndGoesBackWithItsDiskAndItsWholeLog() async throws {
        try await GuestBench.run(GuestBench.settings(hosts: ["host-a", "host-b"])) { guests in
            let here = TestInstance("grower")
            _ = try await guests.spawn(here)
            try await guests.awaitConsole(here, "ready")
            try await guests.type("w20\n", here)
            try await guests.awaitConsole(here, "sector written")
            let small = try Self.rootSize(guests, here, on: "host-a")

            let info = try await guests.perform(
                "resize_instance",
                here,
                ["dest": "host-b", "flavor": ["memory_mb": 24, "root_gb": 1], "timeout": 30, "retry_interval": 5]
            )
            #expect(info["host"] == "host-b" && info["state"] == "running" && info["resize"] == "unconfirmed")
            #expect(try QEMU.processes(uuid: here.uuid).count == 1)
            func onB(_ method: String, _ args: JSONObject = [:]) async throws -> JSONValue {
                var all = here.reference
                for member in args { all[member.key] = member.value }
                return try await guests.bench.call(method, all, on: "host-b")
            }
            func consoleB() async throws -> String { try await onB("get_console_output").stringValue ?? "" }
            try await eventually("a boot on host-b") {
                try await consoleB().components(separatedBy: "ready").count == 3
            }
            #expect(try await consoleB().contains("ram=24"))
            #expect(try Self.rootSize(guests, here, on: "host-b") == 1 << 30)
            // It reads on the new host what it wrote on the old one.
            _ = try await onB("console_write", ["data": .string(Base64.encode(Array("v20\n".utf8)))])
            try await eventually("the pattern is there") { try await consoleB().contains("sector same") }

            let back = try await onB("revert_resize")
            #expect(back["host"] == "host-a" && back["state"] == "running" && back["memory_mb"] == 16)
            let log = try await guests.awaitConsole(here, "ready", times: 3)
            try Ticks.check(log, boots: 3)
            #expect(try Self.rootSize(guests, here, on: "host-a") == small)
            #expect(try QEMU.processes(uuid: here.uuid).count == 1)
            let left = guests.bench.daemon.statePath + "/host-b/instances/" + here.uuid
            #expect(!FileManager.default.fileExists(atPath: left))
        }
    }

    @Test func aMachineGrowsOnTheSpotAndStays() async throws {
        try await GuestBench.run { guests in
            let instance = TestInstance("taller")
            _ = try await guests.spawn(instance)
            try await guests.awaitConsole(instance, "ready")
            try await guests.perform(
                "resize_instance",
                instance,
                ["flavor": ["memory_mb": 24, "vcpus": 2, "root_gb": 1], "timeout": 30]
            )
            let log = try await guests.awaitConsole(instance, "ready", times: 2)
            #expect(log.contains("ram=24 cpus=2"))
            try Ticks.check(log, boots: 2)
            #expect(try Self.rootSize(guests, instance, on: "host-a") == 1 << 30)
            try await guests.perform("confirm_resize", instance)
            #expect(
                try await guests.failure("resize_instance", instance, ["flavor": ["root_gb": 0]]) == "CannotResizeDisk"
            )
            #expect(try await guests.bench.state(instance) == "running")
        }
    }
}
