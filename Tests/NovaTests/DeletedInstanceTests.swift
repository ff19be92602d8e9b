import Foundation
import Support
import TestSupport
import Testing

/// Instances that the database has in another state than their host, or no more.
@Suite(.needsBroker, .needsNova, .timeLimit(.minutes(20)))
struct DeletedInstanceTests {
    private static let options = ["nova": ["sync_power_state_interval": "0.5", "shutdown_timeout": "1"]]

    private static func isHere(_ nova: ControlPlane, _ uuid: String) -> Bool {
        FileManager.default.fileExists(atPath: nova.daemon.statePath + "/host-a/instances/\(uuid)")
    }

    /// Figures are there of machines that run, and of no others.
    private static func isRunning(_ nova: ControlPlane, _ uuid: String) async throws -> Bool {
        try await nova.failure("get_diagnostics", uuid) == nil
    }

    private static func restart(_ nova: ControlPlane, _ action: String, every interval: String) async throws {
        try await nova.daemon.terminate()
        var settings = nova.daemon.settings
        settings.options["nova"]?["running_deleted_instance_action"] = action
        settings.options["nova"]?["sync_power_state_interval"] = interval
        nova.daemon.settings = settings
        try await nova.daemon.start()
    }

    @Test func whatBecomesOfThemIsTheOperatorsChoice() async throws {
        try await ControlPlane.run(conductor: true, service: true, options: Self.options) { nova in
            let uuid = try await nova.boot()
            // The database has the say about whether it runs; it is asked regularly.
            try await nova.ask("alter", ["uuid": .string(uuid), "fields": ["vm_state": "stopped", "power_state": 4]])
            try await eventually(timeout: .seconds(120), "the machine is switched off") {
                try await !Self.isRunning(nova, uuid)
            }
            let deleted = try await nova.boot()
            try await Self.restart(nova, "noop", every: "0.5")
            try await nova.ask("vanish", ["uuid": .string(deleted)])
            // A look at all instances comes before a host is served.
            try await Self.restart(nova, "noop", every: "0")
            #expect(Self.isHere(nova, deleted))
            #expect(try await Self.isRunning(nova, deleted))
            #expect(!nova.daemon.log.contains("instance was deleted while"))

            try await Self.restart(nova, "log", every: "0")
            try await nova.daemon.waitForLog("action=log host=host-a instance=\(deleted)")
            #expect(Self.isHere(nova, deleted))
            #expect(try await Self.isRunning(nova, deleted))

            try await Self.restart(nova, "shutdown", every: "0.5")
            try await eventually(timeout: .seconds(120), "the machine is switched off") {
                try await !Self.isRunning(nova, deleted)
            }
            #expect(Self.isHere(nova, deleted))
            #expect(Self.isHere(nova, uuid))

            try await Self.restart(nova, "reap", every: "0.5")
            try await eventually(timeout: .seconds(120), "the machine is removed") { !Self.isHere(nova, deleted) }
            #expect(Self.isHere(nova, uuid))
        }
    }
}
