import DaemonBench
import Support
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
        let backend = TestBackend.selected
        let isSimulated = backend == .simulated
        let kills = TestForm.number("VMOPS_TEST_KILLS", short: isSimulated ? 10 : 2, long: isSimulated ? 200 : 20)
        let daemon = backend.daemon(hosts: Self.hosts, simulated: Self.simulated)
        var settings = Traffic.Settings(hosts: Self.hosts, drivers: isSimulated ? 12 : 4, backend: backend)
        if isSimulated {
            settings.floodTargets = TestForm.isLong ? 24 : 6
            settings.floodWave = 100
        }
        let traffic = settings
        try await Bench.run(daemon) { bench in
            do {
                try await Traffic.run(bench, traffic) { try await $0.kill(kills, after: 50...1500) }
            } catch {
                if !isSimulated { await bench.destroyAll(Self.hosts) }
                throw error
            }
        }
    }
}

extension Bench {
    /// Real machines outlive their worker, and are not to outlive the test.
    func destroyAll(_ hosts: [String]) async {
        try? await daemon.kill()
        try? await daemon.start()
        for host in hosts {
            for uuid in (try? await call("list_instance_uuids", on: host))?.arrayValue ?? [] {
                _ = try? await call("destroy", ["instance": ["uuid": uuid, "name": "-"]], on: host)
            }
        }
    }
}
