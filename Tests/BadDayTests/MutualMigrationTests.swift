import DaemonBench
import OsloMessaging
import Support
import TestSupport
import Testing

/// Two processes with more hosts each than operations that a process runs at once.
@Suite(.enabled(if: TestBroker.isAvailable, Comment(rawValue: TestBroker.missing)), .timeLimit(.minutes(5)))
struct MutualMigrationTests {
    private static let hosts = 32

    private static func settings(_ side: String, url: String? = nil) -> DaemonSettings {
        var options = MigrationBench.options
        options["simulated"] = [
            "boot_lines": "1", "lines_per_second": "1", "migration_ms": "200", "sync_state": "false",
        ]
        // Enough for a loaded machine, and less than it takes to give up those who wait for each other.
        options["migration"] = ["peer_timeout": "30"]
        options["limits"] = ["max_inflight": "16"]
        return DaemonSettings(hosts: (0..<hosts).map { "\(side)-\($0)" }, options: options, url: url)
    }

    /// Each process is full of machines that leave, while those of the other want in.
    @Test func allMachinesOfAllHostsChangePlacesAtOnce() async throws {
        try await Bench.run(Self.settings("left")) { bench in
            try await DaemonProcess.run(Self.settings("right", url: bench.daemon.url)) { _ in
                let sides = [("left", "right"), ("right", "left")]
                let moves = sides.flatMap { here, there in
                    (0..<Self.hosts).map { (TestInstance("\(here)-\($0)", on: "\(here)-\($0)"), "\(there)-\($0)") }
                }
                try await withThrowingTaskGroup(of: Void.self) { group in
                    for (instance, _) in moves { group.addTask { try await bench.spawn(instance) } }
                    try await group.waitForAll()
                }
                try await withThrowingTaskGroup(of: (String, JSONValue).self) { group in
                    for (instance, destination) in moves {
                        group.addTask {
                            let args = instance.reference.merging("dest", .string(destination))
                            let info = try await bench.call(
                                "live_migration",
                                args,
                                on: instance.host,
                                timeout: .seconds(120)
                            )
                            return (destination, info)
                        }
                    }
                    for try await (destination, info) in group { #expect(info["host"]?.stringValue == destination) }
                }
                for (instance, destination) in moves {
                    try await eventually("\(instance.name) runs on \(destination) alone") {
                        let there = try await bench.call("list_instance_infos", on: destination).arrayValue ?? []
                        return there.map { $0["name"]?.stringValue } == [instance.name]
                            && there.first?["state"] == "running"
                    }
                }
            }
        }
    }
}
