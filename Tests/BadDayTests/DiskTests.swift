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
        try await withTemporaryDirectory { directory in
            let faults = try await DiskFaults(in: directory)
            var settings = Self.settings
            settings.environment = faults.environment
            try await Bench.run(settings) { bench in
                let instances = (0..<4).map { TestInstance("vm-\($0)", on: $0 % 2 == 0 ? "host-a" : "host-b") }
                for instance in instances { try await bench.spawn(instance) }
                let process = bench.daemon.processIdentifier
                for _ in 0..<Self.rounds {
                    try await fail(bench, faults, code, instances)
                    try await recover(bench, faults, instances)
                }
                #expect(bench.daemon.processIdentifier == process)
                for instance in instances { try await bench.call("destroy", instance.reference, on: instance.host) }
                try await bench.daemon.terminate()
                for (host, journal) in try await JournalEvidence.read(bench.daemon.statePath, ["host-a", "host-b"]) {
                    #expect(journal.verdict == "ok" && journal.unfinished.isEmpty, "\(host): \(journal)")
                    #expect(journal.owedReplies == 0 && journal.records.isEmpty, "\(host): \(journal)")
                }
            }
        }
    }

    /// Changes are refused by class and reason, reads go on, the console counts what it cannot write.
    private func fail(
        _ bench: Bench,
        _ faults: DiskFaults,
        _ code: Int32,
        _ instances: [TestInstance]
    ) async throws {
        // One is in the middle of its work: it is answered too, whatever it comes to.
        let first = instances[0]
        let arguments = MachineOperation.hardReboot.arguments(first, volumes: "")
        async let interrupted = bench.failure("reboot", arguments, on: first.host)
        try await eventually("the reboot runs") { try await bench.metric("vmops_rpc_running") == 1 }
        try faults.set(code, below: bench.daemon.statePath)
        var refusals: [String: Int] = [:]
        for number in 0..<12 {
            let instance = instances[number % instances.count]
            let method = ["pause", "reboot", "power_off"][number % 3]
            if let failure = try await bench.failure(method, instance.reference, on: instance.host) {
                refusals[failure, default: 0] += 1
            } else {
                Issue.record("\(method) succeeded on a disk with error \(code)")
            }
        }
        let new = TestInstance("new", on: "host-a")
        #expect(try await bench.failure("spawn", ["instance": new.description]) != nil)
        let ending = try await interrupted ?? "success"
        print("errno \(code): changes ended with \(refusals), the one that ran with \(ending)")
        for instance in instances {
            #expect(try await bench.state(instance) != nil)
            try await eventually(timeout: .seconds(60), "dropped console bytes of \(instance.name)") {
                try await bench.console(instance, "dropped_bytes") > 0
            }
        }
        #expect(try await bench.call("list_instance_uuids").arrayValue?.count == 2)
    }

    /// Without a restart: work, and the consoles from there on.
    private func recover(_ bench: Bench, _ faults: DiskFaults, _ instances: [TestInstance]) async throws {
        try faults.clear()
        for instance in instances {
            try await eventually(timeout: .seconds(60), "work on \(instance.name)") {
                let arguments = MachineOperation.hardReboot.arguments(instance, volumes: "")
                return try await bench.failure("reboot", arguments, on: instance.host) == nil
            }
            let end = try await bench.console(instance, "end_offset")
            try await eventually(timeout: .seconds(60), "the console of \(instance.name)") {
                try await bench.console(instance, "end_offset") > end + 1000
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
