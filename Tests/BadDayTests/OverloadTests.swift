import DaemonBench
import Foundation
import OsloMessaging
import RPCClient
import Support
import Synchronization
import TestSupport
import Testing

/// Fifty times as many requests as the hosts can work off.
@Suite(.enabled(if: PrivateBroker.isAvailable), .timeLimit(.minutes(20)))
struct OverloadTests {
    private static let seconds = TestForm.number("VMOPS_TEST_OVERLOAD_SECONDS", short: 5, long: 60)
    private static let factor = 50
    /// Two operations at once of 50 ms each.
    private static let sustainable = 40
    /// Of each tenth of a second; the requests after these are casts.
    private static let calls = sustainable * (factor - 1) / 10
    private static let callTimeout = Duration.seconds(3)

    /// What became of the flood.
    private final class Tally: Sendable {
        let state = Mutex(Outcome())
        let isOver = Atomic<Bool>(false)

        func withLock<Result>(_ body: (inout sending Outcome) -> sending Result) -> sending Result {
            state.withLock(body)
        }
    }

    private struct Outcome {
        var answered: Set<String> = []
        var expired: Set<String> = []
        var calls = 0
        var casts = 0
        var largestRSS = 0
        var slowestRead = Duration.zero
        var reads = 0
    }

    @Test func aFloodIsBoundedAndWhatWasAcceptedIsDone() async throws {
        try await PrivateBroker.run { broker in
            let settings = DaemonSettings(
                options: [
                    "limits": ["max_inflight": "2"], "simulated": ["delay_set_state_ms": "50"],
                    "oslo_messaging_rabbit": ["heartbeat_timeout_threshold": "4"],
                ],
                url: broker.url
            )
            try await Bench.run(settings) { bench in
                let instances = (0..<4).map { TestInstance("vm-\($0)", on: $0 % 2 == 0 ? "host-a" : "host-b") }
                for instance in instances { try await bench.spawn(instance) }
                let idle = try bench.process()
                let connections = try await broker.connections()
                let outcome = Tally()
                try await Self.flood(bench, instances, outcome)
                let casts = outcome.withLock { $0.casts }
                try await eventually(timeout: .seconds(600), "the end of \(casts) casts") {
                    let left =
                        try await bench.metric("vmops_rpc_running") + bench.metric("vmops_rpc_queued")
                        + bench.metric("vmops_rpc_held")
                    return left == 0 && Self.endedCasts(bench) == casts
                }
                let after = try bench.process()
                #expect(try await broker.connections() == connections)
                #expect(!broker.hasMissedHeartbeats)
                try await check(bench, outcome.withLock { $0 })
                let end = outcome.withLock { $0 }
                print(
                    """
                    overload: \(end.calls + end.casts) changes (\(end.casts) casts) in \(Self.seconds) s, \
                    \(Self.sustainable) a second can be done; \(end.answered.count) calls answered, \
                    \(end.expired.count) expired; \(end.reads) reads, the slowest \(end.slowestRead); \
                    RSS idle \(idle.residentKiB / 1024), at most \(end.largestRSS / 1024), \
                    after \(after.residentKiB / 1024) MiB
                    """
                )
                // A sanitizer keeps what was freed.
                #expect(Sanitizer.isOn || end.largestRSS < 400 << 10)
            }
        }
    }

    /// A tenth of a second's share at a time; casts as many as can be done, for they do not expire.
    private static func flood(_ bench: Bench, _ instances: [TestInstance], _ outcome: Tally) async throws {
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask {
                while !outcome.isOver.load(ordering: .relaxed) {
                    let start = ContinuousClock.now
                    for host in ["host-a", "host-b"] {
                        try await bench.call("ping", on: host, timeout: .seconds(20))
                        try await bench.call("list_instances", on: host, timeout: .seconds(20))
                    }
                    let took = ContinuousClock.now - start
                    let figures = try bench.process()
                    outcome.withLock { outcome in
                        outcome.reads += 4
                        outcome.slowestRead = max(outcome.slowestRead, took)
                        outcome.largestRSS = max(outcome.largestRSS, figures.residentKiB)
                    }
                    try await Task.sleep(for: .milliseconds(200))
                }
            }
            group.addTask {
                defer { outcome.isOver.store(true, ordering: .relaxed) }
                try await Self.send(bench, instances, outcome)
            }
            try await group.waitForAll()
        }
    }

    private static func send(_ bench: Bench, _ instances: [TestInstance], _ outcome: Tally) async throws {
        let clock = ContinuousClock()
        let start = clock.now
        let ticks = Self.seconds * 10
        try await withThrowingTaskGroup(of: Void.self) { group in
            for tick in 0..<ticks {
                for number in 0..<(calls + Self.sustainable / 10) {
                    let instance = instances[number % instances.count]
                    let method = (tick + number / instances.count) % 2 == 0 ? "pause" : "unpause"
                    let isCast = number >= calls
                    let id = "flood-\(tick)-\(number)."
                    group.addTask { try await Self.send(bench, instance, method, id, isCast, outcome) }
                }
                // What could not be sent in time is sent late, never left out.
                try await clock.sleep(until: start + .milliseconds((tick + 1) * 100))
            }
            try await group.waitForAll()
        }
    }

    private static func send(
        _ bench: Bench,
        _ instance: TestInstance,
        _ method: String,
        _ id: String,
        _ isCast: Bool,
        _ outcome: Tally
    ) async throws {
        if isCast {
            try await bench.cast(method, instance.reference, on: instance.host, requestID: id)
            return outcome.withLock { $0.casts += 1 }
        }
        outcome.withLock { $0.calls += 1 }
        do {
            try await bench.call(
                method,
                instance.reference,
                on: instance.host,
                requestID: id,
                timeout: Self.callTimeout
            )
            outcome.withLock { _ = $0.answered.insert(id) }
        } catch is RemoteFailure {
            outcome.withLock { _ = $0.answered.insert(id) }
        } catch let error as RPCClientError where error.isTimeout || error.code == .tooMany {
            outcome.withLock { _ = $0.expired.insert(id) }
        }
    }

    private static func endedCasts(_ bench: Bench) -> Int {
        bench.daemon.logLines.count { line in
            guard line.contains(" operation "), let start = line.firstRange(of: "request_id=flood-") else {
                return false
            }
            let number = line[start.upperBound...].prefix { $0 != "." }.split(separator: "-").last.flatMap { Int($0) }
            return number.map { $0 >= calls } ?? false
        }
    }

    /// Every cast has ended, once; no call ran that nobody waited for any more when its turn came.
    private func check(_ bench: Bench, _ outcome: Outcome) async throws {
        var ended: [Substring: Int] = [:]
        var casts = 0
        var longest = 0.0
        for line in bench.daemon.logLines where line.contains(" operation ") && line.contains("request_id=flood-") {
            let words = line.split(separator: " ")
            func value(_ key: String) -> Substring { words.first { $0.hasPrefix(key) }?.dropFirst(key.count) ?? "" }
            let id = value("request_id=")
            ended[id, default: 0] += 1
            guard !line.contains("outcome=expired") else { continue }
            let isCall = outcome.answered.contains(String(id)) || outcome.expired.contains(String(id))
            if isCall {
                longest = max(longest, try #require(Double(value("waited_ms=")), "\(line)"))
            } else {
                casts += 1
            }
        }
        #expect(casts == outcome.casts)
        #expect(ended.values.allSatisfy { $0 == 1 })
        let limit = Self.callTimeout * Sanitizer.slowness
        #expect(.milliseconds(longest) < limit, "a call ran whose turn came after \(longest) ms")
        for id in outcome.answered { #expect(ended[Substring(id)] == 1) }
    }
}
