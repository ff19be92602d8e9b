import Foundation
import HostBackend
import HostConformance
import QEMUHost
import TestSupport
import Testing

@Suite(.timeLimit(.minutes(5)), .enabled(if: QEMUProgram.isInstalled, Comment(rawValue: QEMUProgram.missing)))
struct HostConformanceTests {
    private struct Subject: ConformanceSubject {
        let bench: Bench
        let qemu: QEMUHost
        var isSharing = true

        var host: any HostBackend { qemu }
        var bootText: String? { "] ready" }

        func newSpec(_ name: String, bare: Bool) async throws -> MachineSpec {
            var spec = try bench.spec(name)
            if bare { spec.disks = [] }
            return spec
        }

        var address: String { qemu.name }

        func destination(sharing: Bool) async throws -> any ConformanceSubject {
            Subject(bench: bench, qemu: try await bench.host("host-b") { $0.network = .user }, isSharing: sharing)
        }

        func arriving(_ spec: MachineSpec) async throws -> MachineSpec {
            if isSharing { return spec }
            let arriving = spec.moved(to: spec.directory + "-there")
            try FileManager.default.createDirectory(atPath: arriving.directory, withIntermediateDirectories: true)
            return arriving
        }

        func newInterface() -> NetworkInterface? {
            NetworkInterface(id: newUUID().text, macAddress: "52:54:00:00:00:01")
        }

        func restart() async throws -> any ConformanceSubject {
            await qemu.disconnect()
            return Subject(bench: bench, qemu: try await bench.host { $0.network = .user })
        }
    }

    @Test(arguments: ConformanceCheck.all) func qemuHost(check: ConformanceCheck) async throws {
        try await withBench { bench in
            let host = try await bench.host { $0.network = .user }
            let outcome = await check.run(Subject(bench: bench, qemu: host))
            #expect(!outcome.isFailed, "\(outcome)")
            #expect(bench.machineProcesses().isEmpty)
        }
    }
}
