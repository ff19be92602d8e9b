import Support
import TestSupport
import Testing

/// Nova's sequence of a live migration, between two hosts.
@Suite(.needsBroker, .needsNova, .timeLimit(.minutes(20)))
struct LiveMigrationTests {
    private static let port: JSONValue = [
        "id": "c9d1e2f3-4a5b-4c6d-8e7f-90a1b2c3d4e5", "address": "fa:16:3e:12:34:56", "type": "ovs",
        "network": ["id": "a4b8c6d2-1e3f-4a5b-9c7d-8e0f1a2b3c4d", "bridge": "br-int"], "active": true,
        "devname": "tapc9d1e2f3-4a",
    ]

    /// Nova 34 sends to `compute-alt`, and to `compute` when it is to speak no more than 6.1; Nova 26 to `compute`.
    private static func cases() async -> [(NovaRelease, String?)] {
        await NovaRelease.available().flatMap { $0 == .nova26 ? [($0, nil)] : [($0, nil), ($0, "6.1")] }
    }

    @Test(arguments: await cases())
    func movesAnInstanceAndSaysSo(release: NovaRelease, cap: String?) async throws {
        try await ControlPlane.run(release, conductor: true, cap: cap) { nova in
            let uuid = try await nova.boot(on: "host-a", ["network": [Self.port]])
            _ = try await nova.saves()
            let answer = try await nova.ask("migrate", ["uuid": .string(uuid), "dest": "host-b"])
            #expect(answer["object"] == "HyperVLiveMigrateData")
            #expect(answer["data"]?["vifs"]?.arrayValue?.count == 1)
            #expect(answer["data"]?["is_volume_backed"] == false)
            let number = try #require(answer["migration"]?.intValue)
            try await eventually(timeout: .seconds(120), "the migration is completed") {
                try await nova.show(uuid, migration: number)["migration"] == "completed"
            }
            let shown = try await nova.wait(uuid, "active")
            #expect(shown["host"] == "host-b")
            #expect(shown["node"] == "host-b")
            #expect(shown["power_state"] == 1)
            let saves = try await nova.saves()
            for save in saves { #expect(save["raised"] == nil, "\(save)") }
            #expect(
                saves.map { "\($0["object"]?.stringValue ?? "") \($0["changes"]?["status"]?.stringValue ?? "")" }
                    == ["Migration preparing", "Migration running", "Instance ", "Migration completed"]
            )
            #expect(saves.allSatisfy { $0["version"] == ($0["object"] == "Instance" ? "2.7" : "1.7") })
            #expect(saves[2]["expected"] == ["migrating"])
            // It lives there, with its log from the first line on.
            try await nova.waitForConsole(uuid)
            try await nova.ask("begin", ["uuid": .string(uuid), "task_state": "powering-off"])
            try await nova.compute("stop_instance", uuid, ["clean_shutdown": false])
            try await nova.wait(uuid, "stopped")
        }
    }

    @Test func aRefusalIsOneThatTheSchedulerUnderstands() async throws {
        try await ControlPlane.run(conductor: true) { nova in
            let uuid = try await nova.boot()
            var raised: ControlPlane.Raised?
            do {
                try await nova.ask("migrate", ["uuid": .string(uuid), "dest": "host-a"])
            } catch let error as ControlPlane.Raised {
                raised = error
            }
            #expect(raised?.className == "UnableToMigrateToSelf")
            try await nova.ask("begin", ["uuid": .string(uuid), "task_state": "powering-off"])
            try await nova.compute("stop_instance", uuid, ["clean_shutdown": false])
            try await nova.wait(uuid, "stopped")
            do {
                try await nova.ask("migrate", ["uuid": .string(uuid), "dest": "host-b"])
                raised = nil
            } catch let error as ControlPlane.Raised {
                raised = error
            }
            #expect(raised?.className == "InstanceInvalidState")
        }
    }

    @Test func aFailedTransferLeavesTheInstanceWhereItWas() async throws {
        try await ControlPlane.run(
            conductor: true,
            options: ["simulated": ["fault_migrate_precopy": "always internal"]]
        ) { nova in
            let uuid = try await nova.boot()
            let answer = try await nova.ask("migrate", ["uuid": .string(uuid), "dest": "host-b"])
            let number = try #require(answer["migration"]?.intValue)
            let shown = try await nova.wait(uuid, "active", migration: number)
            #expect(shown["host"] == "host-a")
            #expect(shown["migration"] == "error")
            try await eventually(timeout: .seconds(120), "the fault") {
                try await nova.show(uuid)["faults"]?.arrayValue?.isEmpty == false
            }
        }
    }
}
