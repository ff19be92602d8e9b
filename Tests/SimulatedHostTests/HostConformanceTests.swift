import Foundation
import HostBackend
import HostConformance
import SimulatedHost
import Testing

@Suite(.timeLimit(.minutes(5))) struct HostConformanceTests {
    private struct Subject: ConformanceSubject {
        let bench: Bench
        let simulated: SimulatedHost
        var isSharing = true

        static func change(_ settings: inout SimulatedSettings) {
            settings.foreignMachines = ["theirs"]
            settings.migrationMilliseconds = 50
        }

        var host: any HostBackend { simulated }
        var bootText: String? { "login: " }

        func newSpec(_ name: String, bare: Bool) async throws -> MachineSpec {
            var spec = bench.spec(name)
            spec.directory += "-\(spec.uuid)"
            try FileManager.default.createDirectory(atPath: spec.directory, withIntermediateDirectories: true)
            if bare { return spec }
            let root = DiskRequest(path: spec.directory + "/root", format: "raw", source: .blank, virtualSize: 1 << 20)
            _ = try await simulated.createDisk(root)
            let address = DeviceAddress(bus: .ide, controller: 0, unit: 0)
            spec.disks = [DiskAttachment(role: .root, path: root.path, format: "raw", address: address)]
            return spec
        }

        var foreign: ForeignMachine? { ForeignMachine(name: "theirs") }
        var address: String { simulated.name }

        func destination(sharing: Bool) async throws -> any ConformanceSubject {
            Subject(bench: bench, simulated: try await bench.host("host-b", Self.change), isSharing: sharing)
        }

        func arriving(_ spec: MachineSpec) async throws -> MachineSpec {
            if isSharing { return spec }
            let arriving = spec.moved(to: spec.directory + "-there")
            try FileManager.default.createDirectory(atPath: arriving.directory, withIntermediateDirectories: true)
            return arriving
        }

        func newInterface() -> NetworkInterface? {
            NetworkInterface(id: newUUID().text, macAddress: "52:54:00:00:00:01", bridge: "br0")
        }

        func restart() async throws -> any ConformanceSubject {
            await simulated.disconnect()
            return Subject(bench: bench, simulated: try await bench.host("host-a", Self.change))
        }
    }

    @Test(arguments: ConformanceCheck.all) func simulatedHost(check: ConformanceCheck) async throws {
        try await withBench(clock: .system) { bench in
            let host = try await bench.host("host-a", Subject.change)
            let outcome = await check.run(Subject(bench: bench, simulated: host))
            #expect(!outcome.isFailed, "\(outcome)")
        }
    }
}
