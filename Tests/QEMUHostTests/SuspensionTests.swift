import Foundation
import HostBackend
import HostConformance
import QEMUHost
import TestSupport
import Testing

@Suite(.timeLimit(.minutes(5)), .enabled(if: QEMUProgram.isInstalled, Comment(rawValue: QEMUProgram.missing)))
struct SuspensionTests {
    /// The numbers of the guest's lines live in its memory: they go on only if that is intact.
    @Test func memoryComesBackIntactAlsoInAnotherWorker() async throws {
        try await withBench { bench in
            let host = try await bench.host()
            let (spec, console) = try await bench.running(on: host)
            // Ten pages of a pattern, which the guest checks itself.
            try await host.writeConsole(spec.uuid, Array("da\n".utf8))
            try await console.until("rx da")
            try await host.writeConsole(spec.uuid, Array("d0\n".utf8))
            try await console.until("rx d0")
            #expect(try await host.setState(spec.uuid, .saved, deadline: Bench.limit) == .saved)
            var text = try await console.untilEnd()
            #expect(bench.machineProcesses().isEmpty)
            await host.disconnect()

            let next = try await bench.host()
            #expect(try await next.machine(spec.uuid).state == .saved)
            #expect(try await next.setState(spec.uuid, .running, deadline: Bench.limit) == .running)
            let second = try await ConsoleReader(next.openConsole(spec.uuid))
            try await next.writeConsole(spec.uuid, Array("c\n".utf8))
            text += try await second.until(" bad=0 ")
            #expect(areConsecutive(text) && text.components(separatedBy: "] ready").count == 2, "\(text)")
            let files = try FileManager.default.contentsOfDirectory(atPath: bench.directory + "/q/\(spec.uuid)")
            #expect(!files.contains("save.bin"))
        }
    }

    @Test func aPausedMachineIsSuspendedAndComesBackRunning() async throws {
        try await withBench { bench in
            let host = try await bench.host()
            let (spec, _) = try await bench.running(on: host)
            for target in [TargetState.paused, .saved, .running] {
                #expect(try await host.setState(spec.uuid, target, deadline: Bench.limit) == target.state)
            }
            try await ConsoleReader(host.openConsole(spec.uuid)).until("tick")
        }
    }

    @Test func aDiskThatHasChangedMakesTheMemoryWorthless() async throws {
        try await withBench { bench in
            let host = try await bench.host()
            let (spec, _) = try await bench.running(on: host)
            _ = try await host.setState(spec.uuid, .saved, deadline: Bench.limit)
            let disk = try FileHandle(forWritingTo: URL(filePath: spec.disks[0].path))
            try disk.seek(toOffset: 1 << 19)
            try disk.write(contentsOf: Data("changed".utf8))
            try disk.close()
            let refused = await code { _ = try await host.setState(spec.uuid, .running, deadline: Bench.limit) }
            #expect(refused == .invalidState)
            #expect(try await host.machine(spec.uuid).state == .saved)
            // The way out: without its memory it starts like any other.
            #expect(try await host.setState(spec.uuid, .off, deadline: Bench.limit) == .off)
            #expect(try await host.setState(spec.uuid, .running, deadline: Bench.limit) == .running)
        }
    }

    @Test func aSuspensionThatFailsLeavesTheGuestRunning() async throws {
        try await withBench { bench in
            let host = try await bench.host()
            let (spec, console) = try await bench.running(on: host)
            // A directory in its place: the memory cannot be written.
            let place = bench.directory + "/q/\(spec.uuid)/save.partial"
            try FileManager.default.createDirectory(atPath: place + "/x", withIntermediateDirectories: true)
            let failure = await code { _ = try await host.setState(spec.uuid, .saved, deadline: Bench.limit) }
            #expect(failure != nil)
            #expect(try await host.machine(spec.uuid).state == .running)
            let before = console.text.count
            try await eventually("more ticks") { console.text.dropFirst(before).contains("tick") }
            try FileManager.default.removeItem(atPath: place)
            #expect(try await host.setState(spec.uuid, .saved, deadline: Bench.limit) == .saved)
        }
    }

    @Test func memoryThatCannotBeReadBackStaysForAnotherAttempt() async throws {
        try await withBench { bench in
            let host = try await bench.host()
            let (spec, _) = try await bench.running(on: host)
            _ = try await host.setState(spec.uuid, .saved, deadline: Bench.limit)
            let memory = bench.directory + "/q/\(spec.uuid)/save.bin"
            try FileManager.default.moveItem(atPath: memory, toPath: memory + ".away")
            #expect(await code { _ = try await host.setState(spec.uuid, .running, deadline: Bench.limit) } != nil)
            #expect(try await host.machine(spec.uuid).state == .saved)
            #expect(bench.machineProcesses().isEmpty)
            try FileManager.default.moveItem(atPath: memory + ".away", toPath: memory)
            #expect(try await host.setState(spec.uuid, .running, deadline: Bench.limit) == .running)
        }
    }
}
