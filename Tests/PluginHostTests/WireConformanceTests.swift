import Foundation
import HostBackend
import HostConformance
import Logging
import PluginHost
import Support
import TestSupport
import Testing

/// The simulated host behind the wire does everything that it does in the process.
@Suite(.timeLimit(.minutes(10)))
struct WireConformanceTests {
    private struct Subject: ConformanceSubject {
        let bench: PluginBench
        let plugin: PluginHost

        var host: any HostBackend { plugin }
        var bootText: String? { "login: " }

        func newSpec(_ name: String, bare: Bool) async throws -> MachineSpec {
            var spec = try bench.spec(name)
            if bare { return spec }
            let root = spec.directory + "/root.disk"
            _ = try await plugin.createDisk(
                DiskRequest(path: root, format: "raw", source: .blank, virtualSize: 1 << 20)
            )
            spec.disks = [
                DiskAttachment(
                    role: .root,
                    path: root,
                    format: "raw",
                    address: DeviceAddress(bus: .ide, controller: 0, unit: 0)
                )
            ]
            return spec
        }

        func newInterface() -> NetworkInterface? {
            NetworkInterface(id: UniqueID.makeDashed(), macAddress: "52:54:00:00:00:01", bridge: "br0")
        }

        func restart() async throws -> any ConformanceSubject {
            await plugin.disconnect()
            let again = try WireConformanceTests.host(bench)
            try await again.connect()
            return Subject(bench: bench, plugin: again)
        }
    }

    private static func host(_ bench: PluginBench) throws -> PluginHost {
        let settings = PluginBench.settings(options: ["boot_lines": "3", "sync_state": "false"]) {
            $0.command = [Checkout.program("vmopsd"), "plugin-host", "simulated"]
            // A sanitizer's reports go where all go.
            $0.environment = ProcessInfo.processInfo.environment.filter { name, _ in
                name.hasSuffix("SAN_OPTIONS") || name == "LD_PRELOAD"
            }
        }
        let log = bench.log
        return try PluginHost(
            name: "host-a",
            settings: settings,
            directory: bench.directory + "/host-a",
            workerVersion: "0",
            digest: { _ in "" },
            logger: Logger(label: "test") { _ in LinesHandler(lines: log) }
        )
    }

    @Test(arguments: ConformanceCheck.all) func simulatedHostBehindTheWire(check: ConformanceCheck) async throws {
        try await PluginBench.run { bench in
            let host = try Self.host(bench)
            try await host.connect()
            #expect(host.status.state == .running, "\(bench.log.all)")
            let outcome = await check.run(Subject(bench: bench, plugin: host))
            #expect(outcome.isPassed || outcome.isSkipped, "\(outcome)")
            await host.disconnect()
        }
    }
}
