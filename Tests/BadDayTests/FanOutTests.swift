import DaemonBench
import Foundation
import JSONCodec
import Subprocess
import Support
import TestSupport
import Testing

/// Several workers, asked at once by the command-line client.
@Suite(.enabled(if: TestBroker.isAvailable, Comment(rawValue: TestBroker.missing)), .timeLimit(.minutes(10)))
struct FanOutTests {
    private static func control(_ bench: MigrationBench, _ arguments: String...) async throws -> String {
        try await control(bench, arguments)
    }

    private static func control(_ bench: MigrationBench, _ arguments: [String]) async throws -> String {
        try await runCommand(Checkout.program("vmopsctl"), ["--url", bench.source.daemon.url] + arguments)
    }

    private static func hosts(_ bench: MigrationBench, _ limit: String) async throws -> [String] {
        let text = try await control(bench, "--json", "hosts", "--timeout", limit)
        return (try JSONReader.read(Array(text.utf8)).arrayValue ?? []).compactMap { $0["host"]?.stringValue }
    }

    @Test func whoAnswersInTimeIsListedAndWhoDoesNotHoldsNobodyUp() async throws {
        try await MigrationBench.run { bench in
            #expect(try await Self.hosts(bench, "5").sorted() == ["host-a", "host-b"])
            try bench.destination.signal(.suspend)
            let listed = try await Self.hosts(bench, "2")
            try bench.destination.signal(.resume)
            #expect(listed == ["host-a"])
        }
    }

    @Test func whatIsSpawnedOnTheTopicSpreadsAndIsFoundAndDrained() async throws {
        try await MigrationBench.run { bench in
            for number in 0..<6 {
                _ = try await Self.control(bench, "spawn", "vm-\(number)", "--memory-mb", "64", "--root-gb", "0")
            }
            func load() async throws -> [String: Int] {
                let text = try await Self.control(bench, "--json", "list")
                let infos = try JSONReader.read(Array(text.utf8)).arrayValue ?? []
                return infos.reduce(into: [:]) { $0[$1["host"]?.stringValue ?? "", default: 0] += 1 }
            }
            let spread = try await load()
            #expect(spread.values.reduce(0, +) == 6)
            #expect(spread["host-a", default: 0] > 0 && spread["host-b", default: 0] > 0, "\(spread)")
            #expect(try await Self.control(bench, "info", "vm-3").contains("vm-3"))
            // One that is off goes too, and one that is suspended or broken cannot, but when it is turned off.
            for name in ["off", "asleep"] {
                _ = try await Self.control(bench, "spawn", name, "--host", "host-a", "--root-gb", "0")
            }
            _ = try await Self.control(bench, "power-off", "off", "--timeout", "0")
            _ = try await Self.control(bench, "suspend", "asleep")
            let crash = ["--root-gb", "0", "--metadata", "sim.crash_after_ms=1500"]
            _ = try await Self.control(bench, ["spawn", "broken", "--host", "host-a"] + crash)
            try await eventually("a crash") {
                try await Self.control(bench, ["--json", "info", "broken"]).contains("\"error\"")
            }
            let drain = "\(Checkout.program("vmopsctl")) --url \(bench.source.daemon.url) drain host-a --parallel 2"
            let drained = try await runCommand("bash", ["-c", "\(drain); echo status $?"])
            #expect(drained.contains("\(spread["host-a", default: 0] + 1) moved, 2 left on host-a"))
            #expect(drained.contains("left: asleep: it is suspended: resume it first"))
            #expect(drained.contains("left: broken: it is in state error: "))
            #expect(drained.hasSuffix("status 1"))
            #expect(try await load() == ["host-b": 7, "host-a": 2])
            // As the drain has said.
            _ = try await Self.control(bench, "resume", "asleep")
            _ = try await Self.control(bench, "power-off", "broken", "--timeout", "0")
            #expect(try await runCommand("bash", ["-c", drain]).contains("2 moved, 0 left on host-a"))
            #expect(try await load() == ["host-b": 9])
            let text = try await Self.control(bench, "--json", "info", "off")
            let moved = try JSONReader.read(Array(text.utf8))
            #expect(moved["host"] == "host-b" && moved["state"] == "off" && moved["resize"] == nil, "\(text)")
        }
    }
}
