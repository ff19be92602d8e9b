import Foundation
import HostBackend
import HostConformance
import QEMUHost
import TestSupport
import Testing

@Suite(.timeLimit(.minutes(5)), .enabled(if: QEMUProgram.isInstalled, Comment(rawValue: QEMUProgram.missing)))
struct HostTests {
    @Test func factsAreTheComputers() async throws {
        try await withBench { bench in
            let info = try await bench.host().hostInfo()
            #expect(info.hypervisorType == "QEMU" && info.hypervisorVersion >= 5000)
            #expect(info.vcpus == ProcessInfo.processInfo.processorCount)
            #expect(info.memoryMB == Int(ProcessInfo.processInfo.physicalMemory >> 20))
            #expect((1...info.memoryMB).contains(info.memoryUsedMB))
            #expect(info.diskGB > 0 && (0...info.diskGB).contains(info.diskUsedGB))
            #expect(!info.cpuModel.isEmpty && !info.cpuFeatures.isEmpty)
        }
    }

    @Test func figuresAreThoseOfTheProcess() async throws {
        try await withBench { bench in
            let host = try await bench.host()
            let (spec, console) = try await bench.running(on: host)
            try await host.writeConsole(spec.uuid, Array("l1\n".utf8))
            try await console.until("rx l1")
            let before = try #require(host.machineIfKnown(spec.uuid)?.cpuTimeNanoseconds)
            try await eventually("more processor time") {
                try #require(await host.machine(spec.uuid).cpuTimeNanoseconds) > before + 50_000_000
            }
            let status = try await host.machine(spec.uuid)
            #expect(status.memoryKB == 16 << 10 && status.maxMemoryKB == 16 << 10 && status.cpuCount == 1)
            _ = try await host.setState(spec.uuid, .off, deadline: Bench.limit)
            #expect(try await host.machine(spec.uuid).memoryKB == 0)
        }
    }

    @Test func withoutQEMUTheHostSaysSo() async throws {
        try await withBench { bench in
            #expect(await code { _ = try await bench.host { $0.binary = "qemu-system-none" } } == .unavailable)
        }
    }

    @Test func socketsThatWouldNotFitAreRefusedAtOnce() async throws {
        try await withBench { bench in
            let long = Bench(bench.directory + "/" + String(repeating: "x", count: 60))
            #expect(await code { _ = try await long.host() } == .invalidArgument)
        }
    }

    @Test(.enabled(if: geteuid() == 0, "needs root")) func anotherUserRunsQEMUWithoutAnyRights() async throws {
        try await withBench { bench in
            #expect(chmod(bench.directory, 0o711) == 0)
            // Not even a way to the machines: told at once, and not by every machine's start.
            let closed = bench.directory + "/closed"
            #expect(mkdir(closed, 0o700) == 0)
            #expect(await code { _ = try await Bench(closed + "/h").host { $0.user = "nobody" } } == .unauthorized)
            let host = try await bench.host { $0.user = "nobody" }
            let spec = try bench.spec()
            try FileManager.default.setAttributes([.posixPermissions: 0o600], ofItemAtPath: spec.disks[0].path)
            try FileManager.default.setAttributes([.posixPermissions: 0o700], ofItemAtPath: spec.directory)
            #expect(chmod(bench.directory + "/i", 0o711) == 0)
            try await host.createMachine(spec)
            #expect(try await host.setState(spec.uuid, .running, deadline: Bench.limit) == .running)
            let console = try await ConsoleReader(host.openConsole(spec.uuid))
            try await console.until("] ready")
            try await host.writeConsole(spec.uuid, Array("w10\nv10\n".utf8))
            try await console.until("rx v10")
            let status = try String(contentsOfFile: "/proc/\(bench.process(of: spec))/status", encoding: .utf8)
            for line in [
                "Uid:\t65534\t65534\t65534\t65534", "CapPrm:\t0000000000000000", "CapBnd:\t0000000000000000",
                "NoNewPrivs:\t1", "Seccomp:\t2",
            ] {
                #expect(status.contains(line), "\(status)")
            }
            let socket = bench.directory + "/q/\(spec.uuid)/qmp.sock"
            let attributes = try FileManager.default.attributesOfItem(atPath: socket)
            #expect(attributes[.posixPermissions] as? Int == 0o600 && attributes[.ownerAccountID] as? Int == 0)
            // Suspending goes through a file that it could not open itself.
            for target in [TargetState.saved, .running, .off] {
                #expect(try await host.setState(spec.uuid, target, deadline: Bench.limit) == target.state)
            }
        }
    }
}
