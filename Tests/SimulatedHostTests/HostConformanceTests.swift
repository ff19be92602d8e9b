import Foundation
import HostBackend
import HostConformance
import SimulatedHost
import Testing

@Suite(.timeLimit(.minutes(5))) struct HostConformanceTests {
    private struct Subject: ConformanceSubject {
        let bench: Bench
        let simulated: SimulatedHost

        var host: any HostBackend { simulated }
        var bootText: String? { "login: " }

        func newSpec(_ name: String, bare: Bool) async throws -> MachineSpec {
            let spec = bench.spec(name)
            try FileManager.default.createDirectory(atPath: spec.directory, withIntermediateDirectories: true)
            return spec
        }

        func newInterface() -> NetworkInterface? {
            NetworkInterface(id: newUUID().text, macAddress: "52:54:00:00:00:01", bridge: "br0")
        }

        func restart() async throws -> any ConformanceSubject {
            await simulated.disconnect()
            return Subject(bench: bench, simulated: try await bench.host())
        }
    }

    @Test(arguments: ConformanceCheck.all) func simulatedHost(check: ConformanceCheck) async throws {
        try await withBench(clock: .system) { bench in
            let host = try await bench.host()
            let outcome = await check.run(Subject(bench: bench, simulated: host))
            #expect(!outcome.isFailed, "\(outcome)")
        }
    }
}
