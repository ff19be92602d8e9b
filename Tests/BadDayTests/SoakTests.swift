import DaemonBench
import Foundation
import Glibc
import Support
import Synchronization
import TestSupport
import Testing

/// `VMOPS_SOAK_MINUTES`: three daemons under moderate traffic for so long, on one broker that suffers every fault in
/// turn. One is killed every few seconds, one has real machines and is killed now and then, and one never ends: its
/// memory and descriptors are sampled. Beside them others have, one after the other, a cluster that loses nodes, a broker
/// that loses queues, and a failing disk.
@Suite(.enabled(if: TestForm.soakMinutes != nil && PrivateBroker.isAvailable), .timeLimit(.minutes(200)))
struct SoakTests {

    private static let killed = ["host-a", "host-b"]
    private static let lasting = ["host-c", "host-d"]
    private static let guests = ["host-q", "host-r"]

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
        // Also of a soak that fails.
        defer { report.print() }
        try await PrivateBroker.run { broker in
            try await FaultProxy.run(to: broker) { proxy in
                let url = broker.transportURL(virtualHost: "", port: proxy.port)
                try await withThrowingTaskGroup(of: Void.self) { group in
                    group.addTask {
                        try await Bench.run(Self.daemon(Self.killed, url), clientURL: broker.url) { bench in
                            let counts = try await Traffic.run(bench, Self.traffic(Self.killed)) { traffic in
                                try await Self.kill(traffic, every: 2_000...22_000, report, until: end)
                            }
                            report.ended("simulated hosts, killed", counts)
                        }
                    }
                    group.addTask {
                        try await Bench.run(Self.daemon(Self.lasting, url), clientURL: broker.url) { bench in
                            let counts = try await Traffic.run(bench, Self.traffic(Self.lasting)) { traffic in
                                try await withThrowingTaskGroup(of: Void.self) { group in
                                    group.addTask { try await Self.sample(bench, report, until: end) }
                                    group.addTask { try await Self.trouble(traffic, broker, proxy, until: end) }
                                    while try await group.next() != nil {}
                                }
                            }
                            report.ended("simulated hosts, never killed", counts)
                        }
                    }
                    if QEMUProgram.isInstalled {
                        group.addTask { try await Self.runGuests(url, broker, report, until: end) }
                    }
                    // The first failure ends the soak, not the last.
                    while try await group.next() != nil {}
                }
            }
        }
        // The first samples are of a process that still fills its caches.
        let samples = report.samples
        if let last = samples.last, samples.count > 20 {
            let settled = samples[samples.count / 4]
            #expect(last.descriptors <= settled.descriptors + 8)
            // A sanitizer keeps what was freed.
            #expect(Sanitizer.isOn || last.residentKiB < settled.residentKiB + 32 << 10)
        }
    }

    @Test func clustersBrokersAndDisksFailForLong() async throws {
        let end = ContinuousClock.now + .seconds(60 * (TestForm.soakMinutes ?? 1))
        let report = SoakReport()
        defer { report.print() }
        while ContinuousClock.now < end {
            try await BrokerRounds.cluster(1) { report.ended("cluster that loses nodes", $0) }
            if ContinuousClock.now >= end { return }
            try await BrokerRounds.losses(1) { report.ended("broker restarted, killed, queues deleted", $0) }
            if ContinuousClock.now >= end { return }
            if TestBroker.isAvailable, DiskFaults.compiler != nil {
                try await DiskTests.soak { report.ended("failing disk", $0) }
            }
            try await Task.sleep(for: .seconds(10))
        }
    }

    /// - Parameter pause: milliseconds from a start to the next kill.
    private static func kill(
        _ traffic: Traffic,
        every pause: ClosedRange<Int>,
        _ report: SoakReport,
        until end: ContinuousClock.Instant
    ) async throws {
        while ContinuousClock.now < end {
            // The moment is meant to be any.
            try await Task.sleep(for: .milliseconds(Int.random(in: pause)))
            report.killed(try await traffic.killOnce())
        }
    }

    private static func runGuests(
        _ url: String,
        _ broker: PrivateBroker,
        _ report: SoakReport,
        until end: ContinuousClock.Instant
    ) async throws {
        var daemon = TestBackend.qemu.daemon(hosts: guests, simulated: [:])
        daemon.url = url
        daemon.options["oslo_messaging_rabbit"] = ["heartbeat_timeout_threshold": "4"]
        var settings = traffic(guests)
        settings.drivers = 2
        settings.floodTargets = 0
        settings.pause = .seconds(2)
        settings.backend = .qemu
        let traffic = settings
        try await Bench.run(daemon, clientURL: broker.url) { bench in
            do {
                let counts = try await Traffic.run(bench, traffic) { traffic in
                    try await kill(traffic, every: 15_000...60_000, report, until: end)
                }
                report.ended("QEMU hosts, killed", counts)
            } catch {
                await bench.destroyAll(guests)
                throw error
            }
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
