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

        var host: any HostBackend { qemu }
        var bootText: String { "] ready" }

        func newSpec(_ name: String) async throws -> MachineSpec { try bench.spec(name) }

        func restart() async throws -> any ConformanceSubject {
            await qemu.disconnect()
            return Subject(bench: bench, qemu: try await bench.host())
        }
    }

    @Test(arguments: ConformanceCheck.all) func qemuHost(check: ConformanceCheck) async throws {
        try await withBench { bench in
            let host = try await bench.host()
            #expect(check.applies(to: host))
            try await check.run(Subject(bench: bench, qemu: host))
            #expect(bench.machineProcesses().isEmpty)
        }
    }
}
