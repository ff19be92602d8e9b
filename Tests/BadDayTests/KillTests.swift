import TestSupport
import Testing

/// The daemon is killed at random moments of mixed work and started again on its files.
@Suite(.enabled(if: TestBroker.isAvailable, Comment(rawValue: TestBroker.missing)), .timeLimit(.minutes(60)))
struct KillTests {
    private static let hosts = ["host-a", "host-b", "host-c"]

    private static let simulated = [
        "delay_set_state_ms": "15", "delay_create_disk_ms": "15", "delay_create_machine_ms": "15",
        "delay_delete_machine_ms": "15", "delay_reset_ms": "15", "delay_attach_interface_ms": "5",
        "delay_export_root_disk_ms": "15", "migration_ms": "60", "boot_lines": "3", "lines_per_second": "20",
    ]

    @Test func everyAcceptedRequestEndsOnceWheneverTheDaemonIsKilled() async throws {
        let kills = TestForm.number("VMOPS_TEST_KILLS", short: 10, long: 200)
        let daemon = DaemonSettings(hosts: Self.hosts, options: ["simulated": Self.simulated])
        let targets = TestForm.isLong ? 24 : 6
        let settings = Traffic.Settings(hosts: Self.hosts, drivers: 12, floodTargets: targets, floodWave: 100)
        try await Bench.run(daemon) { bench in
            try await Traffic.run(bench, settings) { try await $0.kill(kills, after: 50...1500) }
        }
    }
}
