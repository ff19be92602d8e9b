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
            spec.directory = "\(bench.directory)/host-a/instances/\(spec.uuid)"
            try FileManager.default.createDirectory(atPath: spec.directory, withIntermediateDirectories: true)
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

        var foreign: ForeignMachine? { ForeignMachine(name: "theirs") }
        var address: String { plugin.name }

        func destination(sharing: Bool) async throws -> any ConformanceSubject {
            let second = try WireConformanceTests.host(bench, "host-b")
            // Where the two see one directory, each has it in its own place.
            let instances = bench.directory + "/host-b/instances"
            if sharing {
                try FileManager.default.createDirectory(
                    atPath: bench.directory + "/host-b",
                    withIntermediateDirectories: true
                )
                try FileManager.default.createSymbolicLink(
                    atPath: instances,
                    withDestinationPath: bench.directory + "/host-a/instances"
                )
            }
            try await second.connect()
            return Subject(bench: bench, plugin: second)
        }

        func arriving(_ spec: MachineSpec) async throws -> MachineSpec {
            let arriving = spec.moved(to: "\(bench.directory)/host-b/instances/\(spec.uuid)")
            try FileManager.default.createDirectory(atPath: arriving.directory, withIntermediateDirectories: true)
            return arriving
        }

        func newInterface() -> NetworkInterface? {
            NetworkInterface(id: UniqueID.makeDashed(), macAddress: "52:54:00:00:00:01", bridge: "br0")
        }

        func restart() async throws -> any ConformanceSubject {
            await plugin.disconnect()
            let again = try WireConformanceTests.host(bench, plugin.name)
            try await again.connect()
            return Subject(bench: bench, plugin: again)
        }
    }

    private static func host(_ bench: PluginBench, _ name: String) throws -> PluginHost {
        let options = [
            "boot_lines": "3", "sync_state": "false", "foreign_machines": "theirs", "migration_ms": "50",
            "lines_per_second": "20",
        ]
        let settings = PluginBench.settings(options: options) {
            $0.command = [Checkout.program("vmopsd"), "plugin-host", "simulated"]
            // A sanitizer's reports go where all go.
            $0.environment = ProcessInfo.processInfo.environment.filter { name, _ in
                name.hasSuffix("SAN_OPTIONS") || name == "LD_PRELOAD"
            }
        }
        let log = bench.log
        return try PluginHost(
            name: name,
            settings: settings,
            directory: bench.directory + "/" + name,
            workerVersion: "0",
            digest: { _ in "" },
            logger: Logger(label: "test") { _ in LinesHandler(lines: log) }
        )
    }

    @Test(arguments: ConformanceCheck.all) func simulatedHostBehindTheWire(check: ConformanceCheck) async throws {
        try await PluginBench.run { bench in
            let host = try Self.host(bench, "host-a")
            try await host.connect()
            #expect(host.status.state == .running, "\(bench.log.all)")
            let outcome = await check.run(Subject(bench: bench, plugin: host))
            #expect(outcome.isPassed || outcome.isSkipped, "\(outcome)")
            await host.disconnect()
        }
    }
}
