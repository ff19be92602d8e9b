import DaemonBench
import Foundation
import OsloMessaging
import Support
import TestSupport
import Testing

/// `plugins/examples/sleepers`, a script written from the protocol's page alone, as the host of a worker.
@Suite(.enabled(if: TestBroker.isAvailable, Comment(rawValue: TestBroker.missing)), .timeLimit(.minutes(10)))
struct OneShotPluginTests {
    private static func settings() -> DaemonSettings {
        let script = Checkout.root.appending(path: "plugins/examples/sleepers").path
        return DaemonSettings(
            hosts: ["host-a"],
            options: [
                "DEFAULT": ["backend": "plugin"],
                "plugin": ["shape": "oneshot", "command": "\"\(script)\"", "poll_interval": "0.2"],
            ]
        )
    }

    private static func numbers(_ bench: Bench, _ instance: TestInstance) async throws -> [Int] {
        let text = try await bench.call("get_console_output", instance.reference).stringValue ?? ""
        return text.split(separator: "\n").filter { $0.hasPrefix("line ") }.compactMap { Int($0.dropFirst(5)) }
    }

    @Test func aScriptIsAHostFromSpawnToDestroy() async throws {
        try await Bench.run(Self.settings()) { bench in
            let instance = TestInstance("sleeper")
            let spawned = try await bench.spawn(instance)
            #expect(spawned["state"] == "running")
            try await eventually("lines on the console") { try await Self.numbers(bench, instance).count > 3 }
            try await bench.call("pause", instance.reference)
            #expect(try await bench.state(instance) == "paused")
            try await bench.call("unpause", instance.reference)

            try await bench.daemon.kill()
            try await bench.daemon.start()
            #expect(try await bench.state(instance) == "running")
            let last = try await Self.numbers(bench, instance).last ?? 0
            try await eventually("later lines") { try await (Self.numbers(bench, instance).last ?? 0) > last + 3 }
            let numbers = try await Self.numbers(bench, instance)
            #expect(numbers == numbers.sorted(), "the same boot of the same machine")

            var softly = instance.reference
            softly["timeout"] = 20
            try await bench.call("power_off", softly)
            #expect(try await bench.state(instance) == "off")
            try await eventually("the guest's last words") {
                try await bench.call("get_console_output", instance.reference).stringValue?.contains("power off")
                    == true
            }
            try await bench.call("power_on", instance.reference)
            #expect(try await bench.state(instance) == "running")
            try await bench.call("destroy", instance.reference)
            #expect(try await bench.call("list_instances") == [])
            #expect(try await bench.failure("get_info", instance.reference) == "InstanceNotFound")
        }
    }
}
