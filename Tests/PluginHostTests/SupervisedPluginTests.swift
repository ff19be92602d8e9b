import Foundation
import HostBackend
import PluginHost
import PluginProtocol
import Support
import TestSupport
import Testing

/// What a plugin can do wrong, and that it costs nobody but its own host a moment.
@Suite(.timeLimit(.minutes(10)))
struct SupervisedPluginTests {
    @Test func machinesAreMadeStartedAndRemoved() async throws {
        try await PluginBench.run { bench, host in
            #expect(host.status.state == .running)
            let events = host.events()
            let spec = try await bench.running(host)
            #expect(try await host.machine(spec.uuid).state == .running)
            #expect(try await host.machines().map(\.uuid) == [spec.uuid])
            #expect(try await host.hostInfo().hypervisorType == "faulty")
            _ = try await host.setState(spec.uuid, .off, deadline: .seconds(20))
            try await host.deleteMachine(spec.uuid)
            #expect(await failure { _ = try await host.machine(spec.uuid) } == .notFound)
            var kinds: [MachineEvent.Kind] = []
            for await event in events {
                kinds.append(event.kind)
                if event.kind == .removed { break }
            }
            #expect(kinds == [.started, .stopped(.requested), .removed])
            #expect(bench.log.has(#"up\u{7}"#))
        }
    }

    @Test(arguments: ["exit", "kill", "garbage", "huge", "empty", "list", "half", "hellotwice"])
    func aPluginThatBreaksDownIsStartedAgainAndItsMachinesAdopted(fault: String) async throws {
        try await PluginBench.run { bench, host in
            let spec = try await bench.running(host)
            try bench.misbehave("machine.diagnostics \(fault) once")
            let before = bench.starts.count
            #expect(await failure { _ = try await host.diagnostics(spec.uuid) } == .unavailable)
            try await eventually("the plugin runs again") {
                bench.starts.count > before && host.status.state == .running
            }
            #expect(host.status.restarts >= 1)
            #expect(try await host.machine(spec.uuid).state == .running)
            if fault == "garbage" { #expect(host.status.lastError?.contains(#"Traceback (most"#) == true) }
            if fault == "garbage" { #expect(host.status.lastError?.contains("\u{1B}") == false) }
            if fault == "exit" { #expect(host.status.lastError?.contains("status 3") == true) }
        }
    }

    @Test(arguments: ["hang", "freeze"])
    func aPluginThatHangsIsEndedAndStartedAgain(fault: String) async throws {
        let settings = PluginBench.settings { $0.requestTimeout = .seconds(1) }
        try await PluginBench.run(settings) { bench, host in
            let spec = try await bench.running(host)
            try bench.misbehave("machine.diagnostics \(fault) once")
            let process = try #require(bench.starts.last)
            #expect(await failure { _ = try await host.diagnostics(spec.uuid) } == .unavailable)
            try await eventually("another process") { bench.starts.count > 1 && host.status.state == .running }
            #expect(kill(process, 0) != 0)
            #expect(try await host.machine(spec.uuid).state == .running)
        }
    }

    @Test func aSilentPluginIsHung() async throws {
        let settings = PluginBench.settings {
            $0.times.pingAfter = .milliseconds(100)
            $0.times.silence = .seconds(2)
        }
        try await PluginBench.run(settings) { bench, host in
            let process = try #require(bench.starts.last)
            // With signs of life it is left alone.
            try await eventually("signs of life") { bench.starts.count == 1 && host.status.state == .running }
            kill(process, SIGSTOP)
            try await eventually("another process") { bench.starts.count > 1 && host.status.state == .running }
            #expect(bench.log.has("nothing from it for"))
        }
    }

    @Test func aPluginThatDoesNotReadIsEnded() async throws {
        let settings = PluginBench.settings { $0.requestTimeout = .seconds(1) }
        try await PluginBench.run(settings) { bench, host in
            try bench.misbehave("read never")
            let spec = try bench.spec()
            let large = [UInt8](repeating: 0x41, count: 300_000)
            await withTaskGroup(of: Void.self) { group in
                for _ in 0..<8 {
                    group.addTask {
                        let code = await failure { try await host.writeConsole(spec.uuid, large) }
                        #expect(code == .unavailable || code == .timeout)
                    }
                }
            }
            try bench.misbehave("")
            try await eventually("another process") { bench.starts.count > 1 && host.status.state == .running }
        }
    }

    @Test func aFloodOfEventsHarmsNobody() async throws {
        try await PluginBench.run { bench, host in
            let spec = try await bench.running(host)
            let other = try bench.spec("other")
            try bench.misbehave("machine.diagnostics flood once")
            async let flooded = failure { _ = try await host.diagnostics(spec.uuid) }
            try await host.createMachine(other)
            #expect(try await host.machine(other.uuid).state == .off)
            #expect(await flooded == .unimplemented)
            #expect(bench.starts.count == 1)
        }
    }

    @Test func aGapInTheEventsBringsAnInventory() async throws {
        try await PluginBench.run { bench, host in
            let spec = try await bench.running(host)
            try bench.misbehave("machine.diagnostics gap once")
            _ = await failure { _ = try await host.diagnostics(spec.uuid) }
            _ = try await host.setState(spec.uuid, .off, deadline: .seconds(20))
            try await eventually("a word about it") { bench.log.has("events of the plugin are missing") }
            #expect(bench.starts.count == 1)
        }
    }

    @Test func eventsFullOfGapsDoNotAskForInventoriesWithoutEnd() async throws {
        try await PluginBench.run { bench, host in
            let spec = try await bench.running(host)
            try bench.misbehave("machine.diagnostics gaps once")
            let begin = ContinuousClock.now
            _ = await failure { _ = try await host.diagnostics(spec.uuid) }
            _ = try await host.setState(spec.uuid, .off, deadline: .seconds(20))
            #expect(try await host.machine(spec.uuid).state == .off)
            try await eventually("a word about it") { bench.log.has("events of the plugin are missing") }
            // At most one a second, and the first at once.
            let asked = bench.log.all.count { $0.contains("events of the plugin are missing") }
            #expect(asked <= 2 + Int((ContinuousClock.now - begin) / .seconds(1)))
            #expect(bench.starts.count == 1)
        }
    }

    /// Answers that came already, and words about requests, streams and machines that there are not.
    @Test(arguments: ["twice", "strange"]) func whatNobodyAskedForHarmsNobody(fault: String) async throws {
        try await PluginBench.run { bench, host in
            let spec = try await bench.running(host)
            try bench.misbehave("machine.get \(fault)")
            for _ in 1...3 { #expect(try await host.machine(spec.uuid).state == .running) }
            #expect(bench.starts.count == 1)
        }
    }

    @Test(arguments: ["events.subscribe exit once", "machine.list exit once", "machine.list kill once"])
    func oneThatDiesBetweenItsHelloAndItsFirstAnswerIsStartedAgain(fault: String) async throws {
        try await PluginBench.run(faults: fault) { bench, host in
            try await eventually("it runs") { host.status.state == .running }
            #expect(bench.starts.count == 2)
            #expect(try await host.machines() == [])
        }
    }

    @Test func aPluginThatKeepsFailingIsDegradedAndItsHostStaysInService() async throws {
        let settings = PluginBench.settings {
            $0.restarts.failures = 3
            $0.restarts.degradedPause = .milliseconds(200)
        }
        try await PluginBench.run(settings, faults: "start exit") { bench, host in
            try await eventually("degraded") { host.status.state == .degraded && bench.starts.count >= 3 }
            #expect(await failure { _ = try await host.machines() } == .unavailable)
            #expect(await failure { try await host.probe() } == .unavailable)
            try bench.misbehave("")
            try await eventually("it runs") { host.status.state == .running }
            #expect(try await host.machines() == [])
        }
    }

    @Test(arguments: [
        ("silent", "no hello within"), ("nonce", "not an answer to ours"),
        ("version", "this worker speaks [1], the plugin [7]"),
        ("refuse", "no rights"), ("garbage", "Traceback"), ("huge", "2147483647 bytes"), ("exit", "exited(3)"),
    ])
    func aStartThatFailsSaysWhy(fault: String, text: String) async throws {
        let settings = PluginBench.settings { $0.times.start = fault == "silent" ? .seconds(1) : .seconds(15) }
        try await PluginBench.run(settings, faults: "start \(fault) once") { bench, host in
            try await eventually("the second start") { host.status.state == .running }
            #expect(bench.log.all.contains { $0.contains("plugin failed") && $0.contains(text) }, "\(bench.log.all)")
        }
    }

    @Test func aPluginOfAnotherHypervisorHostIsRefused() async throws {
        try await PluginBench.run { bench in
            try await bench.withHost(PluginBench.settings()) { host in #expect(host.status.state == .running) }
            try await bench.withHost(PluginBench.settings(options: ["id": "another"])) { host in
                #expect(host.status.state != .running)
                #expect(await failure { _ = try await host.machines() } == .unavailable)
                #expect(bench.log.has("drives the hypervisor host another, and not faulty-1"))
                // What it could do is known all the same: stored logs are read by that.
                #expect(host.capabilities.has(.consoleOutput))
            }
        }
    }

    @Test func whatHappenedWhileItWasDownBecomesEvents() async throws {
        try await PluginBench.run { bench, host in
            let spec = try await bench.running(host)
            let events = host.events()
            try bench.misbehave("start exit once")
            let machines = bench.directory + "/plugin/machines.json"
            let text = try String(contentsOfFile: machines, encoding: .utf8)
            try text.replacing("running", with: "off").write(toFile: machines, atomically: true, encoding: .utf8)
            kill(try #require(bench.starts.last), SIGKILL)
            // Its start is among what happened before anybody listened.
            for await event in events where event.uuid == spec.uuid && event.kind != .started {
                #expect(event.kind == .stopped(.guest))
                break
            }
            try await eventually("it runs again") { host.status.state == .running }
            #expect(try await host.machine(spec.uuid).state == .off)
        }
    }

    @Test func aBusyPluginIsAskedAgainWithTheSameKey() async throws {
        try await PluginBench.run { bench, host in
            let spec = try bench.spec()
            try bench.misbehave("machine.create busy once")
            try await host.createMachine(spec)
            #expect(try await host.machine(spec.uuid).state == .off)
        }
    }

    @Test func whatItCannotDoItIsNotAsked() async throws {
        try await PluginBench.run { bench, host in
            let spec = try await bench.running(host)
            try bench.misbehave("machine.reset exit\nmigrate.checkOutgoing exit\nmachine.setState exit")
            #expect(await failure { _ = try await host.reset(spec.uuid) } == .unimplemented)
            #expect(await failure { _ = try await host.checkOutgoing(spec.uuid, [:]) } == .unimplemented)
            #expect(
                await failure { _ = try await host.setState(spec.uuid, .paused, deadline: .seconds(1)) }
                    == .unimplemented
            )
            #expect(try await host.requestShutdown(spec.uuid, reason: "x") == .unsupported)
            try await host.cancelJobs(spec.uuid)
            #expect(bench.starts.count == 1)
        }
    }

    @Test func anAnswerThatMakesNoSenseIsAnErrorOfThatRequestAlone() async throws {
        try await PluginBench.run { bench, host in
            let spec = try await bench.running(host)
            try bench.misbehave("machine.get nonsense once")
            #expect(await failure { _ = try await host.machine(spec.uuid) } == .internal)
            #expect(try await host.machine(spec.uuid).state == .running)
            #expect(bench.starts.count == 1)
        }
    }

    @Test func requestsOfACancelledCallerEnd() async throws {
        let settings = PluginBench.settings { $0.requestTimeout = .seconds(30) }
        try await PluginBench.run(settings) { bench, host in
            let spec = try await bench.running(host)
            try bench.misbehave("machine.diagnostics slow once")
            let task = Task { await failure { _ = try await host.diagnostics(spec.uuid) } }
            try await eventually("it is under way") { host.status.requests == 1 }
            task.cancel()
            #expect(await task.value == .unimplemented)
        }
    }

    @Test func aFloodOnStandardErrorIsCut() async throws {
        try await PluginBench.run { bench, host in
            let spec = try await bench.running(host)
            try bench.misbehave("machine.diagnostics stderr once")
            #expect(await failure { _ = try await host.diagnostics(spec.uuid) } == .unimplemented)
            #expect(try await host.machine(spec.uuid).state == .running)
            let noise = bench.log.all.filter { $0.contains("noise") }.count
            #expect(noise > 0 && noise < 50_000)
        }
    }
}
