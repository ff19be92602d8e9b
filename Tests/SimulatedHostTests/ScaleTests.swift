import Foundation
import HostBackend
import HostConformance
import SimulatedHost
import TestSupport
import Testing

@Suite(.serialized, .timeLimit(.minutes(5))) struct ScaleTests {
    private static func openDescriptors() throws -> Int {
        try FileManager.default.contentsOfDirectory(atPath: "/proc/self/fd").count
    }

    @Test func aThousandMachinesLoseNoLine() async throws {
        try await withBench { bench in
            let host = try await bench.host { $0.diskGB = 1 }
            var consoles: [(uuid: InstanceUUID, reader: ConsoleReader)] = []
            for number in 1...1000 {
                let spec = bench.spec("vm-\(number)", ["sim.lines_per_second": "20", "sim.boot_lines": "5"])
                try await host.createMachine(spec)
                _ = try await host.setState(spec.uuid, .running, deadline: .seconds(5))
                consoles.append((spec.uuid, try await ConsoleReader(host.openConsole(spec.uuid))))
            }
            for _ in 1...10 {
                bench.world.advance(by: .seconds(1))
                for console in consoles { _ = console.reader.bytes() }
            }
            for console in consoles {
                _ = try await host.setState(console.uuid, .off, deadline: .seconds(5))
                let numbers = lineNumbers(try await console.reader.untilEnd())
                // Each machine started at the same moment of a clock that stood still.
                #expect(numbers == Array(1...200))
            }
            #expect(try await host.machines().count == 1000)
            await host.disconnect()
        }
    }

    @Test func createAndDeleteLeakNoDescriptor() async throws {
        try await withBench { bench in
            let host = try await bench.host()
            func cycle(_ number: Int) async throws {
                let spec = bench.spec("vm-\(number)", ["sim.lines_per_second": "20"])
                try await host.createMachine(spec)
                _ = try await host.setState(spec.uuid, .running, deadline: .seconds(5))
                let reader = try await ConsoleReader(host.openConsole(spec.uuid))
                bench.world.advance(by: .milliseconds(200))
                // Closed by the machine first, then by the reader, and the other way round.
                if number % 2 == 0 { await reader.close() }
                try await host.deleteMachine(spec.uuid)
                await reader.close()
            }
            try await cycle(0)
            let before = try Self.openDescriptors()
            for number in 1...200 { try await cycle(number) }
            // Other suites open files at the same time: a leak would be two per cycle.
            try await eventually("the descriptors to go") { try Self.openDescriptors() < before + 100 }
            #expect(try await host.machines().isEmpty)
            #expect(try FileManager.default.contentsOfDirectory(atPath: bench.directory + "/host-a/machines") == [])
            await host.disconnect()
        }
    }

    @Test func idleGuestsCostNoProcessorTime() async throws {
        try await withBench(clock: .system) { bench in
            let host = try await bench.host()
            for number in 1...200 {
                let spec = bench.spec("vm-\(number)")
                try await host.createMachine(spec)
                _ = try await host.setState(spec.uuid, .running, deadline: .seconds(5))
            }
            // Nothing is due for any of them, so nothing wakes the guests' thread.
            let wakeUps = host.world.wakeUps
            _ = try await host.machines()
            #expect(host.world.wakeUps <= wakeUps + 2)
            #expect(host.world.timers == 0)
            await host.disconnect()
        }
    }
}
