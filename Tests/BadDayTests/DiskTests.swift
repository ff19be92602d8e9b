import DaemonBench
import Foundation
import Glibc
import OsloMessaging
import Support
import TestSupport
import Testing

/// The disk fails while the daemon works, and is well again later.
@Suite(
    .enabled(if: TestBroker.isAvailable && DiskFaults.compiler != nil),
    .timeLimit(.minutes(10))
)
struct DiskTests {
    private static let rounds = TestForm.number("VMOPS_TEST_DISK_ROUNDS", short: 1, long: 10)

    private static let settings = DaemonSettings(options: [
        "simulated": ["lines_per_second": "3000", "line_bytes": "200", "boot_lines": "3", "delay_reset_ms": "300"]
    ])

    @Test(arguments: [EIO, ENOSPC, EROFS])
    func workIsRefusedWithWordsAndGoesOnWhenTheDiskIsWell(code: Int32) async throws {
        try await Self.run(Array(repeating: code, count: Self.rounds)) { _ in }
    }

    /// Each error once.
    static func soak(ended: @escaping @Sendable (TrafficCounts) -> Void) async throws {
        try await run([EIO, ENOSPC, EROFS], ended: ended)
    }

    private static func run(
        _ codes: [Int32],
        ended: @escaping @Sendable (TrafficCounts) -> Void
    ) async throws {
        try await withTemporaryDirectory { directory in
            let faults = try await DiskFaults(in: directory)
            var settings = settings
            settings.environment = faults.environment
            try await Bench.run(settings) { bench in
                let instances = (0..<4).map { TestInstance("vm-\($0)", on: $0 % 2 == 0 ? "host-a" : "host-b") }
                for instance in instances { try await bench.spawn(instance) }
                let process = bench.daemon.processIdentifier
                let trouble = DiskTrouble(bench: bench, faults: faults, instances: instances)
                var counts = TrafficCounts()
                for code in codes {
                    counts += try await trouble.fail(code)
                    try await trouble.recover()
                }
                #expect(bench.daemon.processIdentifier == process)
                for instance in instances { try await bench.call("destroy", instance.reference, on: instance.host) }
                try await bench.daemon.terminate()
                for (host, journal) in try await JournalEvidence.read(bench.daemon.statePath, ["host-a", "host-b"]) {
                    #expect(journal.verdict == "ok" && journal.unfinished.isEmpty, "\(host): \(journal)")
                    #expect(journal.owedReplies == 0 && journal.records.isEmpty, "\(host): \(journal)")
                }
                ended(counts)
            }
        }
    }

    @Test func aSlowDiskDelaysChangesAndNothingElse() async throws {
        try await withTemporaryDirectory { directory in
            let faults = try await DiskFaults(in: directory)
            var settings = Self.settings
            settings.environment = faults.environment
            settings.options["oslo_messaging_rabbit"] = ["heartbeat_timeout_threshold": "2"]
            try await Bench.run(settings) { bench in
                let instances = (0..<4).map { TestInstance("vm-\($0)", on: $0 % 2 == 0 ? "host-a" : "host-b") }
                for instance in instances { try await bench.spawn(instance) }
                try faults.set(0, milliseconds: 150, below: bench.daemon.statePath)
                let start = ContinuousClock.now
                try await withThrowingTaskGroup(of: Void.self) { group in
                    for instance in instances {
                        group.addTask { try await bench.call("pause", instance.reference, on: instance.host) }
                    }
                    var reads = 0
                    while ContinuousClock.now < start + .seconds(5) {
                        try await bench.call("ping", timeout: .seconds(5))
                        reads += 1
                    }
                    try await group.waitForAll()
                    print("slow disk: changes took \(ContinuousClock.now - start) at most, \(reads) reads meanwhile")
                }
                try faults.clear()
                for instance in instances { #expect(try await bench.state(instance) == "paused") }
                #expect(!bench.daemon.log.contains("connection lost"))
            }
        }
    }
}

extension Bench {
    func console(_ instance: TestInstance, _ figure: String) async throws -> Int64 {
        try await call("console_status", instance.reference, on: instance.host)[figure]?.intValue ?? -1
    }
}
