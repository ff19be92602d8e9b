import DaemonBench
import Foundation
import JSONCodec
import OsloMessaging
import Support
import TestSupport
import Testing

/// Hosts behind the plugin protocol, from the message queue down to the guest.
@Suite(.enabled(if: TestBroker.isAvailable, Comment(rawValue: TestBroker.missing)), .timeLimit(.minutes(5)))
struct PluginTests {
    /// A daemon whose `hosts` are the simulated host in a process of its own.
    private static func settings(_ hosts: [String], url: String? = nil) -> DaemonSettings {
        let options = [
            "boot_lines=3", "lines_per_second=100", "sync_state=false", "migration_ms=200",
            "migration.progress_timeout=4", "migration.switchover_timeout=4",
        ]
        let plugin = """
            [plugin]
            command = \(Checkout.program("vmopsd")) plugin-host simulated

            """ + options.map { "option = \($0)\n" }.joined()
        return DaemonSettings(
            hosts: hosts,
            options: [
                "DEFAULT": ["backend": "plugin"],
                "migration": [
                    "peer_timeout": "3", "retry_interval": "0.3", "progress_timeout": "4", "switchover_timeout": "4",
                ],
            ],
            url: url,
            appendix: plugin
        )
    }

    private static func lines(_ bench: Bench, _ instance: TestInstance, on host: String) async throws -> [Int] {
        let text = try await bench.call("get_console_output", instance.reference, on: host).stringValue ?? ""
        return text.split(separator: "\n").filter { $0.hasPrefix("line ") }.compactMap { Int($0.dropFirst(5)) }
    }

    private static func plugin(_ bench: Bench, _ host: String) async throws -> JSONValue {
        let status = try await AdminRequest.get("/status", at: bench.daemon.adminSocket)
        let hosts = try JSONReader.read(Array(status.utf8))["hosts"]?.arrayValue ?? []
        return hosts.first { $0["name"]?.stringValue == host }?["plugin"] ?? .null
    }

    @Test func aMachineLivesAndMovesBehindTheWire() async throws {
        try await Bench.run(Self.settings(["host-a"])) { bench in
            try await DaemonProcess.run(Self.settings(["host-b"], url: bench.daemon.url)) { _ in
                let instance = TestInstance("traveller")
                try await bench.spawn(instance)
                try await eventually("some output") {
                    try await Self.lines(bench, instance, on: "host-a").count >= 5
                }
                try await bench.call("pause", instance.reference)
                #expect(try await bench.state(instance) == "paused")
                try await bench.call("unpause", instance.reference)
                #expect(try await Self.plugin(bench, "host-a")["state"] == "running")
                let info = try await bench.call("live_migration", instance.reference.merging("dest", "host-b"))
                #expect(info["state"] == "running")
                #expect(try await bench.failure("get_info", instance.reference) == "InstanceNotFound")
                let before = try await Self.lines(bench, instance, on: "host-b").count
                try await eventually("more output") {
                    try await Self.lines(bench, instance, on: "host-b").count > before + 20
                }
                let numbers = try await Self.lines(bench, instance, on: "host-b")
                #expect(numbers == Array((numbers.first ?? 0)...(numbers.last ?? 0)), "every line, once")
                try await bench.call("destroy", instance.reference, on: "host-b")
                #expect(try await bench.call("list_instances", on: "host-b") == [])
            }
        }
    }

    @Test func aKilledWorkerTakesItsMachinesUpAgain() async throws {
        try await Bench.run(Self.settings(["host-a"])) { bench in
            let instance = TestInstance()
            try await bench.spawn(instance)
            try await eventually("some output") { try await Self.lines(bench, instance, on: "host-a").count >= 5 }
            try await bench.daemon.kill()
            try await bench.daemon.start()
            #expect(try await bench.state(instance) == "running")
            let before = try await bench.consoleEnd(instance)
            try await eventually("more output") { try await bench.consoleEnd(instance) > before + 200 }
            try await bench.call("power_off", instance.reference)
            #expect(try await bench.state(instance) == "off")
            try await bench.call("destroy", instance.reference)
        }
    }

    @Test func aHostWhosePluginMisbehavesCostsItsNeighbourNothing() async throws {
        let script = Checkout.peers.appending(path: "faulty_plugin.py").path
        let settings = DaemonSettings(
            options: [
                "plugin": [
                    "request_timeout": "2", "grace": "0.5", "option": "kept=yes",
                    "command": "\(Checkout.python) \(script)",
                ]
            ],
            appendix: "[host:host-a]\nbackend = plugin\n"
        )
        try await Bench.run(settings) { bench in
            let faults = bench.daemon.statePath + "/host-a/plugin/faults"
            func misbehave(_ text: String) throws {
                try text.write(toFile: faults, atomically: true, encoding: .utf8)
            }
            let (bad, good) = (TestInstance("bad"), TestInstance("good", on: "host-b"))
            try await bench.spawn(bad)
            try await bench.spawn(good)
            try await eventually("its output") {
                let text = try await bench.call("get_console_output", bad.reference).stringValue
                return text?.contains("login: ") == true
            }
            // A hung one is found out too, but only after the minute that a change of state may take.
            for fault in ["garbage", "huge", "exit"] {
                try misbehave("machine.setState \(fault) once")
                let failure = try await bench.failure("power_off", bad.reference)
                #expect(failure == nil || failure == "HypervisorUnavailable", "\(fault): \(failure ?? "")")
                #expect(try await bench.state(good) == "running")
                try await eventually("it is back") { try await Self.plugin(bench, "host-a")["state"] == "running" }
            }
            try misbehave("start exit\nmachine.get exit")
            _ = try await bench.failure("get_info", bad.reference)
            try await eventually("it cannot start") {
                try await Self.plugin(bench, "host-a")["state"] != "running"
            }
            #expect(try await bench.failure("get_info", bad.reference) == "HypervisorUnavailable")
            let log = try await bench.call("get_console_output", bad.reference).stringValue
            #expect(log?.contains("login: ") == true, "what was captured is served")
            #expect(try await bench.state(good) == "running")
            try await bench.call("destroy", good.reference, on: "host-b")
            #expect(try await bench.metric("vmops_plugin_failures_total", "host-a") >= 2)
            try misbehave("")
            try await eventually("it runs again") { try await Self.plugin(bench, "host-a")["state"] == "running" }
            try await bench.call("destroy", bad.reference)
        }
    }
}
