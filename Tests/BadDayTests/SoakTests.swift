import DaemonBench
import Foundation
import Glibc
import Support
import Synchronization
import TestSupport
import Testing

/// `VMOPS_SOAK_MINUTES`: two daemons under moderate traffic for so long, on one broker that suffers every fault in
/// turn. One is killed every few seconds, the other never ends: its memory and descriptors are sampled.
@Suite(.enabled(if: TestForm.soakMinutes != nil && PrivateBroker.isAvailable), .timeLimit(.minutes(200)))
struct SoakTests {

    private static let killed = ["host-a", "host-b"]
    private static let lasting = ["host-c", "host-d"]

    private static func daemon(_ hosts: [String], _ url: String) -> DaemonSettings {
        DaemonSettings(
            hosts: hosts,
            options: [
                "oslo_messaging_rabbit": ["heartbeat_timeout_threshold": "4"],
                "simulated": [
                    "delay_set_state_ms": "20", "delay_reset_ms": "15", "delay_create_disk_ms": "15",
                    "migration_ms": "60", "boot_lines": "3", "lines_per_second": "10",
                ],
            ],
            url: url
        )
    }

    private static func traffic(_ hosts: [String]) -> Traffic.Settings {
        Traffic.Settings(
            hosts: hosts,
            drivers: 6,
            floodTargets: 4,
            floodWave: 15,
            pause: .milliseconds(400),
            timeout: .seconds(180)
        )
    }

    @Test func nothingIsLostDoubledOrLeakedForLong() async throws {
        let end = ContinuousClock.now + .seconds(60 * (TestForm.soakMinutes ?? 1))
        let report = SoakReport()
        try await PrivateBroker.run { broker in
            try await FaultProxy.run(to: broker) { proxy in
                let url = broker.transportURL(virtualHost: "", port: proxy.port)
                try await withThrowingTaskGroup(of: Void.self) { group in
                    group.addTask {
                        try await Bench.run(Self.daemon(Self.killed, url), clientURL: broker.url) { bench in
                            let counts = try await Traffic.run(bench, Self.traffic(Self.killed)) { traffic in
                                while ContinuousClock.now < end {
                                    try await Task.sleep(for: .milliseconds(Int.random(in: 2_000...22_000)))
                                    report.killed(try await traffic.killOnce())
                                }
                            }
                            report.ended("killed", counts)
                        }
                    }
                    group.addTask {
                        try await Bench.run(Self.daemon(Self.lasting, url), clientURL: broker.url) { bench in
                            let counts = try await Traffic.run(bench, Self.traffic(Self.lasting)) { traffic in
                                try await withThrowingTaskGroup(of: Void.self) { group in
                                    group.addTask { try await Self.sample(bench, report, until: end) }
                                    group.addTask { try await Self.trouble(traffic, broker, proxy, until: end) }
                                    // The first failure ends the soak, not the last.
                                    while try await group.next() != nil {}
                                }
                            }
                            report.ended("lasting", counts)
                        }
                    }
                    try await group.waitForAll()
                }
            }
        }
        report.print()
        // The first samples are of a process that still fills its caches.
        let samples = report.samples
        if let last = samples.last, samples.count > 20 {
            let settled = samples[samples.count / 4]
            #expect(last.descriptors <= settled.descriptors + 8)
            #expect(last.residentKiB < settled.residentKiB + 32 << 10)
        }
    }

    private static func sample(
        _ bench: Bench,
        _ report: SoakReport,
        until end: ContinuousClock.Instant
    ) async throws {
        while ContinuousClock.now < end {
            try await Task.sleep(for: .seconds(30))
            report.sampled(try bench.process())
        }
    }

    /// Troubles that lose nothing, one after the other; both daemons have them.
    private static func trouble(
        _ traffic: Traffic,
        _ broker: PrivateBroker,
        _ proxy: FaultProxy,
        until end: ContinuousClock.Instant
    ) async throws {
        while ContinuousClock.now < end {
            for number in 0..<7 where ContinuousClock.now < end {
                try await Task.sleep(for: .seconds(Int.random(in: 10...25)))
                switch number {
                case 0: try await traffic.survives("reset connections") { try await proxy.cut() }
                case 1: try await traffic.survives("memory alarm") { try await broker.raiseAlarm() }
                case 2: try await traffic.survives("silent freeze") { try await proxy.freezeUntilNoticed(.both) }
                case 3: try await traffic.survives("revoked password") { try await broker.revokePassword() }
                case 4:
                    try await traffic.survives("connections closed") {
                        try await broker.closeConnections(virtualHost: "/")
                    }
                case 5: try await traffic.survives("removed permission") { try await broker.removePermission() }
                default: try await traffic.survives("refused connections") { try await proxy.refuseAWhile() }
                }
            }
        }
    }
}

/// What a soak has to tell, as the table of `docs/reliability.md`.
final class SoakReport: Sendable {
    private struct State {
        var samples: [ProcessFigures] = []
        var counts: [String: TrafficCounts] = [:]
        var kills = 0
        var slowestStart = Duration.zero
    }

    private let state = Mutex(State())
    private let start = ContinuousClock.now

    var samples: [ProcessFigures] { state.withLock { $0.samples } }

    func killed(_ served: Duration) {
        state.withLock { state in
            state.kills += 1
            state.slowestStart = max(state.slowestStart, served)
        }
    }

    func sampled(_ figures: ProcessFigures) {
        let number = state.withLock { state in
            state.samples.append(figures)
            return state.samples.count
        }
        Swift.print("sample \(number) at \(ContinuousClock.now - start): \(figures)")
    }

    func ended(_ name: String, _ counts: TrafficCounts) { state.withLock { $0.counts[name] = counts } }

    func print() {
        let state = state.withLock { $0 }
        let all = state.counts.values
        let first = state.samples.first
        let last = state.samples.last
        let most = state.samples.map(\.residentKiB).max() ?? 0
        let rows = [
            ("minutes", "\((ContinuousClock.now - start).components.seconds / 60)"),
            ("kills of the one daemon", "\(state.kills)"),
            ("faults of broker and network, both daemons", "\(all.reduce(0) { $0 + $1.faults.count })"),
            ("changes sent", "\(all.reduce(0) { $0 + $1.changes })"),
            ("calls among them, answered", "\(all.reduce(0) { $0 + $1.calls }), \(all.reduce(0) { $0 + $1.answered })"),
            ("calls without an answer", "\(all.reduce(0) { $0 + $1.unanswered })"),
            ("longest from a start until all hosts answered", "\(state.slowestStart)"),
            ("RSS of the lasting daemon: first, last, most", Self.mebibytes(first, last, most)),
            ("its descriptors: first, last", "\(first?.descriptors ?? 0), \(last?.descriptors ?? 0)"),
            ("its threads: first, last", "\(first?.threads ?? 0), \(last?.threads ?? 0)"),
        ]
        Swift.print("| soak | |\n|---|---|")
        for row in rows { Swift.print("| \(row.0) | \(row.1) |") }
    }

    private static func mebibytes(_ first: ProcessFigures?, _ last: ProcessFigures?, _ most: Int) -> String {
        "\((first?.residentKiB ?? 0) >> 10), \((last?.residentKiB ?? 0) >> 10), \(most >> 10) MiB"
    }
}
