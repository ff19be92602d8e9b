import DaemonBench
import Support
import TestSupport
import Testing

/// Another program goes on in the daemon's place while machines run.
@Suite(.enabled(if: GuestBench.isPossible, Comment(rawValue: GuestBench.missing)), .timeLimit(.minutes(5)))
struct UpgradeTests {
    @Test func aPrintingGuestLosesNoByteAndWhatWasBegunIsFinished() async throws {
        // Operations are not waited for long: those that run are left to the new program.
        let settings = Upgrade.settings(GuestBench.settings(options: ["limits": ["upgrade_timeout": "0.1"]]))
        try await GuestBench.run(settings, prepare: Upgrade.install) { guests in
            let bench = guests.bench
            let printer = TestInstance("printer")
            let stopped = TestInstance("stopped")
            for instance in [printer, stopped] {
                _ = try await guests.spawn(instance)
                try await guests.awaitConsole(instance, "ready")
            }
            let process = try #require(try guests.qemu(printer))
            let daemon = bench.daemon.processIdentifier
            // 6,000 lines of 64 bytes: a few seconds of printing without pause.
            try await guests.type("b1770\n", printer)
            for round in 1...3 {
                // It hears of the request to shut down when it has printed all of this.
                try await guests.type("b800\n", stopped)
                try await guests.awaitConsole(stopped, "rx b800", times: round)
                let end = try await bench.consoleEnd(printer)
                try await eventually("more output") { try await bench.consoleEnd(printer) > end }
                let request = "req-off-\(round)."
                try await withThrowingTaskGroup(of: Void.self) { group in
                    group.addTask {
                        var args = stopped.reference
                        args["timeout"] = 120
                        try await bench.call("power_off", args, requestID: request, timeout: .seconds(120))
                    }
                    try await eventually("the operation") { try await bench.metric("vmops_rpc_running") == 1 }
                    let old = try Upgrade.program(bench)
                    try await Upgrade.install(bench.daemon.directory)
                    let pause = try await Upgrade.perform(bench)
                    print("upgrade \(round) with real machines: nothing consumed for \(pause)")
                    #expect(try Upgrade.program(bench) != old)
                    // Answered, by whichever program.
                    try await group.waitForAll()
                }
                #expect(bench.operationLines(request).count { !$0.contains("left to the next process") } == 1)
                #expect(try await bench.state(stopped) == "off")
                try await guests.perform("power_on", stopped)
                try await guests.awaitConsole(stopped, "ready", times: round + 1)
            }
            // Under a sanitizer what is meant to be in progress may have ended before the upgrade begins.
            #expect(Sanitizer.isOn || bench.daemon.log.contains("operation left to the next process"))
            #expect(bench.daemon.processIdentifier == daemon)
            #expect(try guests.qemu(printer) == process)
            try await guests.awaitConsole(printer, "blast done")
            try Ticks.check(try await guests.console(printer), boots: 1)
            try Ticks.check(try await guests.console(stopped), boots: 4)
        }
    }
}
