import Foundation
import Support
import TestSupport
import Testing

/// Instances made anew where they are.
@Suite(.needsBroker, .needsNova, .timeLimit(.minutes(5)))
struct RebuildTests {
    private static let port: JSONValue = [
        "id": "c9d1e2f3-4a5b-4c6d-8e7f-90a1b2c3d4e5", "address": "fa:16:3e:12:34:56", "type": "ovs",
        "network": ["id": "a4b8c6d2-1e3f-4a5b-9c7d-8e0f1a2b3c4d", "bridge": "br-int"], "active": true,
        "devname": "tapc9d1e2f3-4a",
    ]
    private static let otherImage = "8c1d9a52-7f4e-4d39-8a5b-0f6c2d1e4b77"

    private static func disks(_ nova: ControlPlane, _ uuid: String) throws -> [String] {
        let path = nova.daemon.statePath + "/host-a/instances/\(uuid)"
        return try FileManager.default.contentsOfDirectory(atPath: path).filter { $0.hasPrefix("root") }.sorted()
    }

    private static func prepare(_ nova: ControlPlane) throws {
        let path = nova.daemon.statePath + "/images/" + otherImage
        try Data(repeating: 0x5A, count: ControlPlane.imageBytes).write(to: URL(filePath: path))
    }

    private static func rebuild(_ nova: ControlPlane, _ uuid: String, _ image: String = otherImage) async throws {
        try await nova.ask("rebuild", ["uuid": .string(uuid), "image": ["id": .string(image)]])
    }

    @Test(arguments: await NovaRelease.available())
    func anInstanceIsMadeAnewFromAnotherImage(release: NovaRelease) async throws {
        let options = ["nova": ["shutdown_timeout": "1"]]
        try await ControlPlane.run(release, conductor: true, options: options) { nova in
            try Self.prepare(nova)
            let uuid = try await nova.boot(on: "host-a", ["network": [Self.port]])
            let before = try Self.disks(nova, uuid)
            _ = try await nova.saves()
            try await Self.rebuild(nova, uuid)
            let shown = try await nova.wait(uuid, "active")
            #expect(shown["power_state"] == 1 && shown["host"] == "host-a")
            #expect(shown["network"]?.arrayValue?.count == 1)
            let saves = try await nova.saves().filter { $0["object"] == "Instance" && $0["version"] == "2.7" }
            #expect(
                saves.map { $0["changes"]?["task_state"] ?? nil }
                    == ["rebuilding", "rebuild_block_device_mapping", "rebuild_spawning", nil]
            )
            #expect(saves.last?["expected"] == ["rebuild_spawning"])
            #expect(saves.last?["changes"]?["launched_at"] != nil)
            // Another disk, and no other than that.
            let after = try Self.disks(nova, uuid)
            #expect(before.count == 1 && after.count == 1 && before != after)
            try await nova.waitForConsole(uuid, lines: 6)

            // What was off stays off, and a second round makes room for itself.
            try await nova.ask("begin", ["uuid": .string(uuid), "task_state": "powering-off"])
            try await nova.compute("stop_instance", uuid, ["clean_shutdown": false])
            try await nova.wait(uuid, "stopped")
            try await Self.rebuild(nova, uuid, ControlPlane.imageID)
            #expect(try await nova.wait(uuid, "stopped")["power_state"] == 4)
            #expect(try Self.disks(nova, uuid).count == 1)
            #expect(try await nova.show(uuid)["faults"] == .array([]))
        }
    }

    @Test func whatFailsLeavesTheOldOneAndAFault() async throws {
        try await ControlPlane.run(conductor: true) { nova in
            let uuid = try await nova.boot()
            let before = try Self.disks(nova, uuid)
            try await Self.rebuild(nova, uuid, "00000000-0000-4000-8000-000000000000")
            #expect(try await nova.wait(uuid, "error")["host"] == "host-a")
            try await eventually(timeout: .seconds(120), "the fault") {
                try await nova.show(uuid)["faults"]?.arrayValue?.isEmpty == false
            }
            #expect(try Self.disks(nova, uuid) == before)
            #expect(try await nova.failure("get_diagnostics", uuid) == nil)
            // From error it is rebuilt, too.
            try await Self.rebuild(nova, uuid, ControlPlane.imageID)
            #expect(try await nova.wait(uuid, "active")["power_state"] == 1)
        }
    }

    @Test func aCrashInTheMiddleIsNotTheEndOfIt() async throws {
        try await ControlPlane.run(conductor: true, options: ["nova": ["shutdown_timeout": "0"]]) { nova in
            try Self.prepare(nova)
            let uuid = try await nova.boot()
            try await nova.restart(only: ["host-a", "host-b"], ["delay_create_machine_ms": "600000"])
            try await Self.rebuild(nova, uuid)
            // The old machine is gone by then, and the new one not there yet.
            try await eventually(timeout: .seconds(120), "the new disk is there") {
                try Self.disks(nova, uuid).count == 2
            }
            try await nova.restart(only: ["host-a", "host-b"])
            #expect(try await nova.wait(uuid, "active")["power_state"] == 1)
            #expect(try Self.disks(nova, uuid).count == 1)
            #expect(try await nova.failure("get_diagnostics", uuid) == nil)
            #expect(try await nova.show(uuid)["faults"] == .array([]))
        }
    }
}
