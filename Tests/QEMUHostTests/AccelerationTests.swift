import DiskImages
import Foundation
import HostBackend
import HostConformance
import Logging
import Support
import Synchronization
import TestSupport
import Testing

@testable import QEMUHost

@Suite(.timeLimit(.minutes(5)), .enabled(if: QEMUProgram.isInstalled, Comment(rawValue: QEMUProgram.missing)))
struct AccelerationTests {
    private static func test(
        _ directory: String,
        accelerator: String = "tcg",
        deadline: Duration = AccelerationTest.patience * 4,
        program: [UInt8] = AccelerationTest.program
    ) -> AccelerationTest {
        AccelerationTest(
            command: QEMUCommand(
                binary: QEMUProgram.path,
                sandbox: true,
                diskBus: .virtio,
                network: .none,
                demotion: nil
            ),
            platform: Platform(machineType: "pc-q35-7.2", cpuModel: "qemu64", accelerator: accelerator),
            directory: directory,
            tools: Tools(searchPath: nil, logger: Logger(label: "test")),
            work: FileWork(),
            deadline: deadline,
            program: program
        )
    }

    @Test func aGuestThatRunsIsTheProof() async throws {
        try await withTemporaryDirectory { directory in
            let failure = try await Self.test(directory).failure()
            #expect(failure == nil)
            #expect(try FileManager.default.contentsOfDirectory(atPath: directory).isEmpty)
        }
    }

    @Test func guestsThatHangOrSayNothingAreNone() async throws {
        try await withTemporaryDirectory { directory in
            let halt: [UInt8] = [0xFA, 0xF4, 0xEB, 0xFD]
            #expect(try await Self.test(directory, deadline: .milliseconds(500), program: halt).failure() != nil)
            let reset: [UInt8] = [0xB0, 0xFE, 0xE6, 0x64, 0xF4]
            let silent = try await Self.test(directory, program: reset).failure()
            #expect(silent?.contains("printed") == true)
            #expect(try await Self.test(directory, accelerator: "none-such").failure() != nil)
            #expect(try FileManager.default.contentsOfDirectory(atPath: directory).isEmpty)
        }
    }

    @Test func hardwareThatDoesNotWorkIsNotUsed() async throws {
        try await withBench { bench in
            let host = try await bench.host { $0.acceleration = .auto }
            var facts = try #require(host.inventory.withLock { $0.facts })
            facts.accelerator = "none-such"
            #expect(try await host.tested(facts, nil).accelerator == "tcg")
            facts.accelerator = "tcg"
            #expect(try await host.tested(facts, nil) == facts)
        }
    }

    @Test(.enabled(if: FileManager.default.isExecutableFile(atPath: "/usr/bin/as"), "binutils are not installed"))
    func theProgramBelongsToItsSource() async throws {
        let builder = Checkout.root.appending(path: "Tests/Guests/build.py").path
        let text = try await runCommand(Checkout.python, [builder, "selftest"])
        let sector = try #require(Data(base64Encoded: text, options: .ignoreUnknownCharacters))
        let room = [UInt8](repeating: 0, count: 510 - AccelerationTest.program.count)
        #expect(Array(sector) == AccelerationTest.program + room + [0x55, 0xAA])
    }

    @Test func diagnosticsAreTrueFigures() async throws {
        try await withBench { bench in
            let host = try await bench.host()
            let (spec, console) = try await bench.running(on: host)
            let before = try await host.diagnostics(spec.uuid)
            #expect(before["state"] == "running" && before["hypervisor"] == "tcg" && before["num_cpus"] == 1)
            #expect((before["process"]?["resident_kb"]?.intValue ?? 0) > 1000)
            #expect(before["disk_details"]?.arrayValue?.first?["write_bytes"] == 0)
            #expect((before["disk_details"]?.arrayValue?.first?["read_bytes"]?.intValue ?? 0) > 1000)
            try await host.writeConsole(spec.uuid, Array("w20\n".utf8))
            try await console.until("written")
            let after = try await host.diagnostics(spec.uuid)
            #expect(after["disk_details"]?.arrayValue?.first?["write_bytes"] == 512)
            let times = [before, after].map { $0["cpu_details"]?.arrayValue?.first?["time"]?.intValue ?? -1 }
            #expect(times[0] >= 0 && times[1] >= times[0])
            _ = try await host.setState(spec.uuid, .off, deadline: Bench.limit)
            let off = try await host.diagnostics(spec.uuid)
            #expect(off["state"] == "off" && off["process"] == nil)
        }
    }
}
