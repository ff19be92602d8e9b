import Foundation
import Glibc
import HostBackend
import HostConformance
import Logging
import SimulatedHost
import Support
import TestSupport
import Testing

/// A worker that ends and a new one that takes up its machines, on one clock.
@Suite(.timeLimit(.minutes(5))) struct RestartTests {
    private func restarted(_ bench: Bench, _ change: (inout SimulatedSettings) throws -> Void = { _ in }) async throws
        -> (SimulatedWorld, SimulatedHost)
    {
        let world = try SimulatedWorld(clock: bench.world.clock)
        return (world, try await bench.host(world: world, change))
    }

    @Test func aRunningGuestHasGoneOnAndNoLineIsLostByAnOrderlyRestart() async throws {
        try await withBench { bench in
            let host = try await bench.host()
            let (spec, console) = try await bench.running(on: host, ["sim.lines_per_second": "10"])
            bench.world.advance(by: .seconds(1))
            let before = console.text
            await console.close()
            bench.world.advance(by: .seconds(1))
            await host.disconnect()
            bench.world.advance(by: .seconds(1))
            let (world, again) = try await restarted(bench)
            #expect(try await again.machine(spec.uuid).state == .running)
            let reader = try await ConsoleReader(again.openConsole(spec.uuid))
            world.advance(by: .seconds(1))
            let text = before + reader.text
            #expect(lineNumbers(text) == Array(1...40))
            #expect(text.split(separator: "\n").count { $0.contains("kernel") } == 1)
            await again.disconnect()
        }
    }

    /// A child process has a copy of the reader's end between its fork and its exec, and a reader may hang.
    @Test(arguments: [true, false])
    func noByteIsLostWhileSomebodyHoldsTheConsoleOpen(readerCloses: Bool) async throws {
        try await withBench { bench in
            let host = try await bench.host()
            let (spec, console) = try await bench.running(on: host, ["sim.lines_per_second": "10"])
            bench.world.advance(by: .seconds(1))
            let before = console.text
            let copy = dup(console.fileDescriptor)
            defer { close(copy) }
            if readerCloses { await console.close() }
            bench.world.advance(by: .seconds(1))
            await host.disconnect()
            // What goes to the next reader, this one does not get too.
            #expect(readerCloses || console.text == before && console.isAtEnd)
            let (world, again) = try await restarted(bench)
            let reader = try await ConsoleReader(again.openConsole(spec.uuid))
            world.advance(by: .seconds(1))
            #expect(lineNumbers(before + reader.text) == Array(1...30))
            await again.disconnect()
        }
    }

    @Test func noLineComesTwiceAfterACrash() async throws {
        try await withBench { bench in
            let host = try await bench.host()
            let (spec, console) = try await bench.running(on: host, ["sim.lines_per_second": "10"])
            bench.world.advance(by: .seconds(1))
            let before = console.text
            host.simulateCrash()
            #expect(console.isAtEnd)
            bench.world.advance(by: .seconds(1))
            let (world, again) = try await restarted(bench)
            let reader = try await ConsoleReader(again.openConsole(spec.uuid))
            world.advance(by: .seconds(1))
            let numbers = lineNumbers(before) + lineNumbers(reader.text)
            #expect(numbers == Array(1...10) + Array(21...30))
            #expect(!reader.text.contains("kernel"))
            let uptime = try await again.diagnostics(spec.uuid)["uptime_ms"]?.intValue
            #expect(uptime == 3000)
            await again.disconnect()
        }
    }

    @Test(arguments: [true, false]) func aSavedGuestsMemorySurvives(orderly: Bool) async throws {
        try await withBench { bench in
            let host = try await bench.host()
            let (spec, console) = try await bench.running(on: host, ["sim.lines_per_second": "10"])
            bench.world.advance(by: .milliseconds(500))
            _ = try await host.setState(spec.uuid, .saved, deadline: .seconds(5))
            #expect(lineNumbers(try await console.untilEnd()).last == 5)
            if orderly { await host.disconnect() } else { host.simulateCrash() }
            bench.world.advance(by: .seconds(100))
            let (world, again) = try await restarted(bench)
            #expect(try await again.machine(spec.uuid).state == .saved)
            _ = try await again.setState(spec.uuid, .running, deadline: .seconds(5))
            let reader = try await ConsoleReader(again.openConsole(spec.uuid))
            world.advance(by: .milliseconds(200))
            #expect(reader.text == "line 6\nline 7\n")
            await again.disconnect()
        }
    }

    @Test func everythingOfADefinitionSurvives() async throws {
        try await withBench { bench in
            let host = try await bench.host()
            let path = bench.directory + "/root"
            _ = try await host.createDisk(
                DiskRequest(path: path, format: "raw", source: .blank, virtualSize: 3 << 30)
            )
            var spec = bench.spec("machine", ["free": "form", "sim.boot_lines": "1"])
            let address = DeviceAddress(bus: .ide, controller: 0, unit: 0)
            spec.disks = [DiskAttachment(role: .root, path: path, format: "raw", address: address)]
            spec.interfaces = [
                NetworkInterface(id: "n", macAddress: "fa:16:3e:00:00:01", bridge: "br0", deviceName: "tap0")
            ]
            spec.startupMemoryMB = 128
            spec.limitCPUFeatures = true
            try await host.createMachine(spec)
            let incarnation = try await host.machine(spec.uuid).incarnation
            host.simulateCrash()
            let (world, again) = try await restarted(bench)
            // An identical definition is no conflict, so the whole of it was read back.
            try await again.createMachine(spec)
            #expect(try await again.machine(spec.uuid).incarnation == incarnation)
            #expect(try await again.hostInfo().diskUsedGB == 3)
            #expect(world.pluggedInterfaces == [.init(host: "host-a", uuid: spec.uuid, interfaceID: "n")])
            await again.disconnect()
        }
    }

    @Test func whatAGuestDidByItselfSurvives() async throws {
        try await withBench { bench in
            let host = try await bench.host()
            let file = { (uuid: InstanceUUID) in bench.directory + "/host-a/machines/\(uuid).json" }
            let (spec, _) = try await bench.running(on: host, ["sim.crash_after_ms": "100"])
            bench.world.advance(by: .seconds(1))
            try await eventually("the state file") {
                try String(contentsOfFile: file(spec.uuid), encoding: .utf8).contains("\"error\"")
            }
            let other = try await bench.running(on: host, ["sim.poweroff_after_ms": "100"]).spec.uuid
            host.simulateCrash()
            bench.world.advance(by: .seconds(1))
            let (_, again) = try await restarted(bench)
            #expect(try await again.machine(spec.uuid).state == .error)
            // It was due while no worker was there.
            #expect(try await again.machine(other).state == .off)
            await again.disconnect()
        }
    }

    @Test func aDamagedFileIsSetAsideAndConcernsNobodyElse() async throws {
        try await withBench { bench in
            let host = try await bench.host()
            let (good, bad, torn) = (bench.spec("good"), bench.spec("bad"), bench.spec("torn"))
            for spec in [good, bad, torn] { try await host.createMachine(spec) }
            await host.disconnect()
            let directory = bench.directory + "/host-a/machines/"
            try Data("{\"version\":1,".utf8).write(to: URL(fileURLWithPath: directory + "\(bad.uuid).json"))
            try Data().write(to: URL(fileURLWithPath: directory + "\(torn.uuid).json"))
            try Data("half".utf8).write(to: URL(fileURLWithPath: directory + "\(good.uuid).json.new"))
            let (_, again) = try await restarted(bench)
            #expect(try await again.machines().map(\.name) == ["good"])
            #expect(FileManager.default.fileExists(atPath: directory + "\(bad.uuid).json.bad"))
            try await again.createMachine(bad)
            await again.disconnect()
        }
    }

    @Test func aStateDirectoryHasOneHost() async throws {
        try await withBench { bench in
            let host = try await bench.host()
            let other = SimulatedHost(
                name: "other",
                stateDirectory: bench.directory + "/host-a",
                world: bench.world,
                logger: bench.logger
            )
            #expect(await code { try await other.connect() } == .unavailable)
            await host.disconnect()
            try await other.connect()
            await other.disconnect()
        }
    }

    @Test func aDeletedMachineDoesNotComeBack() async throws {
        try await withBench { bench in
            let host = try await bench.host()
            let (spec, console) = try await bench.running(on: host)
            try await host.deleteMachine(spec.uuid)
            #expect(console.isAtEnd)
            host.simulateCrash()
            let (_, again) = try await restarted(bench)
            #expect(try await again.machines().isEmpty)
            await again.disconnect()
        }
    }
}
