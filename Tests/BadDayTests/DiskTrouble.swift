import DaemonBench
import OsloMessaging
import Support
import TestSupport
import Testing

/// A daemon's disk that fails and is well again, with machines on it.
struct DiskTrouble: Sendable {
    let bench: Bench
    let faults: DiskFaults
    /// Four of them, on both hosts.
    let instances: [TestInstance]

    /// Changes are refused by class and reason, reads go on, the console counts what it cannot write.
    ///
    /// - Returns: what was sent and answered.
    func fail(_ code: Int32) async throws -> TrafficCounts {
        // One is in the middle of its work: it is answered too, whatever it comes to.
        let first = instances[0]
        let arguments = MachineOperation.hardReboot.arguments(first, volumes: "")
        async let interrupted = bench.failure("reboot", arguments, on: first.host, timeout: .seconds(180))
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
        var counts = TrafficCounts()
        counts.sent(call: true, count: 14)
        counts.answered = 14
        // Those that the disk refuses are answered at once; none is without an end.
        counts.accepted = 14
        counts.accepted = 14
        counts.refused = refusals.values.reduce(1, +)
        counts.faults = ["errno \(code)"]
        return counts
    }

    /// Without a restart: work, and the consoles from there on.
    func recover() async throws {
        try faults.clear()
        for instance in instances {
            try await eventually(timeout: .seconds(180), "work on \(instance.name)") {
                let arguments = MachineOperation.hardReboot.arguments(instance, volumes: "")
                return try await bench.failure("reboot", arguments, on: instance.host, timeout: .seconds(180)) == nil
            }
            let end = try await bench.console(instance, "end_offset")
            try await eventually(timeout: .seconds(60), "the console of \(instance.name)") {
                try await bench.console(instance, "end_offset") > end + 1000
            }
        }
    }
}
