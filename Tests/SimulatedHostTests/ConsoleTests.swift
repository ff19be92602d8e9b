import HostBackend
import HostConformance
import SimulatedHost
import Testing

@Suite(.timeLimit(.minutes(1))) struct ConsoleTests {
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
}
