import Glibc
import HostBackend
import HostConformance
import SimulatedHost
import Support
import Synchronization
import TestSupport
import Testing

@Suite(.timeLimit(.minutes(5))) struct ConsoleTests {
    @Test func bootPrintsANumberedLogAndALoginPrompt() async throws {
        try await withBench { bench in
            let host = try await bench.host()
            let (_, console) = try await bench.running(on: host, ["sim.boot_lines": "3"])
            let text = try await console.until("vm login: ")
            let lines = text.split(separator: "\n")
            #expect(lines.count == 5)
            #expect(lines[0] == "[    0.000000] Simulated kernel of vm starts")
            #expect(lines[3].hasSuffix("boot 3/3"))
            await host.disconnect()
        }
    }

    @Test func typedLinesAreEchoedAndAnswered() async throws {
        try await withBench { bench in
            let host = try await bench.host()
            let (spec, console) = try await bench.running(on: host, ["sim.boot_lines": "0"])
            try await host.writeConsole(spec.uuid, Array("lines 3\r".utf8))
            let text = try await console.until("line 3\n")
            #expect(text.contains("vm login: lines 3\nline 1\nline 2\nline 3\n"))
            try await host.writeConsole(spec.uuid, Array("nonsense\r".utf8))
            try await console.until("unknown: nonsense\nvm login: ")
            await host.disconnect()
        }
    }

    @Test func linesComeInTheirTime() async throws {
        try await withBench { bench in
            let host = try await bench.host()
            let (_, console) = try await bench.running(on: host, ["sim.lines_per_second": "10", "sim.boot_lines": "0"])
            bench.world.advance(by: .milliseconds(950))
            #expect(lineNumbers(console.text) == Array(1...9))
            bench.world.advance(by: .milliseconds(50))
            #expect(lineNumbers(console.text) == Array(1...10))
            await host.disconnect()
        }
    }

    @Test func endOfFileFollowsTheLastByteWhenTheMachineStops() async throws {
        try await withBench { bench in
            let host = try await bench.host()
            let (spec, console) = try await bench.running(on: host)
            #expect(try await host.requestShutdown(spec.uuid, reason: "test") == .accepted)
            #expect(!console.isAtEnd)
            bench.world.advance(by: .milliseconds(100))
            #expect(try await console.untilEnd().hasSuffix("reboot: Power down\n"))
            #expect(try await host.machine(spec.uuid).state == .off)
            await host.disconnect()
        }
    }

    @Test func aPausedGuestPrintsNothingAndGoesOn() async throws {
        try await withBench { bench in
            let host = try await bench.host()
            let (spec, console) = try await bench.running(on: host, ["sim.lines_per_second": "10"])
            bench.world.advance(by: .milliseconds(250))
            #expect(try await host.setState(spec.uuid, .paused, deadline: .seconds(5)) == .paused)
            bench.world.advance(by: .seconds(100))
            #expect(lineNumbers(console.text) == [1, 2])
            try await host.writeConsole(spec.uuid, Array("echo typed\r".utf8))
            #expect(!console.text.contains("typed"))
            #expect(try await host.setState(spec.uuid, .running, deadline: .seconds(5)) == .running)
            #expect(console.text.contains("echo typed\ntyped\n"))
            bench.world.advance(by: .milliseconds(50))
            #expect(lineNumbers(console.text) == [1, 2, 3])
            await host.disconnect()
        }
    }

    @Test func aSavedGuestKeepsItsMemoryAndBootsNoMore() async throws {
        try await withBench { bench in
            let host = try await bench.host()
            let (spec, console) = try await bench.running(on: host, ["sim.lines_per_second": "10"])
            bench.world.advance(by: .milliseconds(300))
            #expect(try await host.setState(spec.uuid, .saved, deadline: .seconds(5)) == .saved)
            #expect(lineNumbers(try await console.untilEnd()) == [1, 2, 3])
            #expect(await code { _ = try await host.openConsole(spec.uuid) } == .unavailable)
            bench.world.advance(by: .seconds(100))
            #expect(try await host.setState(spec.uuid, .running, deadline: .seconds(5)) == .running)
            let again = try await ConsoleReader(host.openConsole(spec.uuid))
            bench.world.advance(by: .milliseconds(200))
            #expect(again.text == "line 4\nline 5\n")
            await host.disconnect()
        }
    }

    @Test func resetPrintsANewBootLogOnTheSameConsole() async throws {
        try await withBench { bench in
            let host = try await bench.host()
            let (spec, console) = try await bench.running(on: host, ["sim.boot_lines": "2"])
            #expect(try await host.reset(spec.uuid) == .running)
            try await eventually("two boots") { lineCount(console.text, "boot 2/2") == 2 }
            #expect(!console.isAtEnd)
            await host.disconnect()
        }
    }

    private func lineCount(_ text: String, _ part: String) -> Int {
        text.split(separator: "\n").count { $0.contains(part) }
    }

    @Test func aSilentGuestPrintsNothingAtAll() async throws {
        try await withBench { bench in
            let host = try await bench.host()
            let metadata = ["sim.console_mode": "silent", "sim.lines_per_second": "10"]
            let (spec, console) = try await bench.running(on: host, metadata)
            try await host.writeConsole(spec.uuid, Array("uptime\r".utf8))
            bench.world.advance(by: .seconds(10))
            _ = try await host.setState(spec.uuid, .off, deadline: .seconds(5))
            #expect(try await console.untilEnd().isEmpty)
            await host.disconnect()
        }
    }

    @Test func aBinaryGuestPrintsEveryByteValue() async throws {
        try await withBench { bench in
            let host = try await bench.host()
            let metadata = ["sim.console_mode": "binary", "sim.lines_per_second": "1"]
            let (_, console) = try await bench.running(on: host, metadata)
            bench.world.advance(by: .seconds(2))
            let bytes = console.bytes()
            #expect(bytes.count == 18 * 256)
            #expect(bytes.enumerated().allSatisfy { $1 == UInt8(truncatingIfNeeded: $0) })
            await host.disconnect()
        }
    }

    @Test func aFloodIsAsFastAsItsReaderAndLosesNothing() async throws {
        try await withBench(clock: .system) { bench in
            let host = try await bench.host()
            let metadata = ["sim.console_mode": "flood", "sim.line_bytes": "80"]
            let (spec, console) = try await bench.running(on: host, metadata)
            try await eventually("a megabyte") { console.bytes(limit: 100_000).count > 1 << 20 }
            _ = try await host.setState(spec.uuid, .off, deadline: .seconds(5))
            let text = try await console.untilEnd()
            let numbers = lineNumbers(text)
            #expect(numbers == Array(1...UInt64(numbers.count)))
            #expect(text.split(separator: "\n").suffix(3).allSatisfy { $0.utf8.count == 79 })
            await host.disconnect()
        }
    }

    @Test func outputIsKeptWhileNobodyReadsAndTheOldestGoesFirst() async throws {
        try await withBench { bench in
            let host = try await bench.host { $0.consoleBufferBytes = 1024 }
            let spec = bench.spec("vm", ["sim.lines_per_second": "100", "sim.boot_lines": "0"])
            try await host.createMachine(spec)
            #expect(await code { _ = try await host.openConsole(spec.uuid) } == .unavailable)
            _ = try await host.setState(spec.uuid, .running, deadline: .seconds(5))
            bench.world.advance(by: .seconds(10))
            let kept = try await ConsoleReader(host.openConsole(spec.uuid))
            #expect(kept.bytes().count == 1024)
            #expect(kept.text.hasSuffix("line 999\nline 1000\n"))
            let figures = try await host.diagnostics(spec.uuid)["console"]
            let printed = figures?["printed_bytes"]?.intValue ?? 0
            #expect(figures?["dropped_bytes"]?.intValue == printed - 1024)
            bench.world.advance(by: .milliseconds(10))
            #expect(kept.text.hasSuffix("line 1001\n"))
            await host.disconnect()
        }
    }

    @Test func aReaderThatLeavesLosesNothingForTheNextOne() async throws {
        try await withBench { bench in
            let host = try await bench.host()
            let (spec, first) = try await bench.running(on: host, ["sim.boot_lines": "500"])
            #expect(await code { _ = try await host.openConsole(spec.uuid) } == .busy)
            var all: [UInt8] = first.bytes(limit: 5000)
            await first.close()
            for limit in [1, 777, 4096] {
                let next = try await ConsoleReader(host.openConsole(spec.uuid))
                all += next.bytes(limit: limit)
                await next.close()
            }
            let last = try await ConsoleReader(host.openConsole(spec.uuid))
            all += Array(try await last.until("vm login: ").utf8)
            let numbers = lineNumbers(
                String(decoding: all, as: UTF8.self).split(separator: "\n").map { String($0.dropFirst(15)) }
                    .joined(separator: "\n"),
                prefix: "boot "
            )
            #expect(numbers == Array(1...500))
            await host.disconnect()
        }
    }

    @Test func outputBeforeTheStopIsThereForALateReader() async throws {
        try await withBench { bench in
            let host = try await bench.host()
            let spec = bench.spec("vm", ["sim.boot_lines": "2"])
            try await host.createMachine(spec)
            _ = try await host.setState(spec.uuid, .running, deadline: .seconds(5))
            try await host.writeConsole(spec.uuid, Array("poweroff\r".utf8))
            let late = try await ConsoleReader(host.openConsole(spec.uuid))
            let text = try await late.untilEnd()
            #expect(text.contains("boot 2/2\n"))
            #expect(text.hasSuffix("reboot: Power down\n"))
            #expect(await code { _ = try await host.openConsole(spec.uuid) } == .unavailable)
            await host.disconnect()
        }
    }

    @Test func anEndpointThatDisconnectsLosesNothing() async throws {
        try await withBench(clock: .system) { bench in
            let host = try await bench.host()
            let metadata = ["sim.console_mode": "disconnect", "sim.disconnect_bytes": "100", "sim.boot_lines": "50"]
            let (spec, first) = try await bench.running(on: host, metadata)
            var text = try await first.untilEnd()
            #expect(text.utf8.count == 100)
            while !text.contains("login: ") {
                let next = try await ConsoleReader(host.openConsole(spec.uuid))
                try await eventually("more") { next.isAtEnd || (text + next.text).contains("login: ") }
                text += next.text
            }
            #expect(text.split(separator: "\n").filter { $0.contains("boot ") }.count == 50)
            await host.disconnect()
        }
    }

    /// A running machine, its console's descriptor, and the machine's side of it.
    private func open(
        _ bench: Bench,
        _ host: SimulatedHost
    ) async throws -> (MachineSpec, Int32, any ConsoleSilence) {
        let spec = bench.spec("vm", ["sim.boot_lines": "0"])
        try await host.createMachine(spec)
        _ = try await host.setState(spec.uuid, .running, deadline: .seconds(5))
        guard case .descriptor(let descriptor) = try await host.openConsole(spec.uuid) else {
            throw BackendError(.internal, "not a descriptor")
        }
        return (spec, descriptor.fileDescriptor, try #require(descriptor.silence))
    }

    private func text(_ descriptor: Int32) -> String {
        var bytes = [UInt8](repeating: 0, count: 4096)
        let count = read(descriptor, &bytes, bytes.count)
        return String(decoding: bytes.prefix(max(0, count)), as: UTF8.self)
    }

    @Test func aSilentConsoleGivesItsPipeUpAndGetsAnother() async throws {
        try await withBench { bench in
            let host = try await bench.host()
            let (spec, first, silence) = try await open(bench, host)
            let next = Mutex<[ConsoleDescriptor?]>([])
            // Not while there is something in the pipe.
            #expect(!silence.begin { _ in })
            #expect(text(first).hasSuffix("vm login: "))
            #expect(silence.begin { descriptor in next.withLock { $0.append(descriptor) } })
            #expect(text(first).isEmpty)
            close(first)
            #expect(await code { _ = try await host.openConsole(spec.uuid) } == .busy)
            bench.world.advance(by: .seconds(100))
            #expect(next.withLock { $0.isEmpty })

            try await host.writeConsole(spec.uuid, Array("echo again\r".utf8))
            let woken = try #require(next.withLock { $0.first } ?? nil)
            #expect(text(woken.fileDescriptor) == "echo again\nagain\nvm login: ")
            // The first pipe's side has nothing to say about the second.
            #expect(!silence.begin { _ in })
            silence.giveUp()
            let again = try #require(woken.silence)
            #expect(again.begin { descriptor in next.withLock { $0.append(descriptor) } })
            close(woken.fileDescriptor)
            _ = try await host.setState(spec.uuid, .off, deadline: .seconds(5))
            #expect(next.withLock { $0.count == 2 && $0[1] == nil })
            await host.disconnect()
        }
    }

    @Test func aReaderThatGoesWhileItRestsMakesRoomForAnother() async throws {
        try await withBench { bench in
            let host = try await bench.host()
            let (spec, first, silence) = try await open(bench, host)
            _ = text(first)
            #expect(silence.begin { _ in Issue.record("woken after it had gone") })
            close(first)
            silence.giveUp()
            try await host.writeConsole(spec.uuid, Array("echo kept\r".utf8))
            let reader = try await ConsoleReader(host.openConsole(spec.uuid))
            #expect(reader.text == "echo kept\nkept\nvm login: ")
            await host.disconnect()
        }
    }

    @Test func aRestingReaderComesToTheEndWhenTheHostIsLost() async throws {
        try await withBench { bench in
            let host = try await bench.host()
            let (_, first, silence) = try await open(bench, host)
            _ = text(first)
            let ends = Atomic<Int>(0)
            #expect(silence.begin { if $0 == nil { ends.add(1, ordering: .relaxed) } })
            close(first)
            host.simulateCrash()
            #expect(ends.load(ordering: .relaxed) == 1)
        }
    }
}
