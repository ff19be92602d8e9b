import Foundation
import HostBackend
import HostConformance
import QEMUHost
import TestSupport
import Testing

/// A worker that is killed at any point, and the next one.
@Suite(.timeLimit(.minutes(5)), .enabled(if: QEMUProgram.isInstalled, Comment(rawValue: QEMUProgram.missing)))
struct RestartTests {
    @Test func theConsoleGoesOnToTheByteWhileTheGuestPrints() async throws {
        try await withBench { bench in
            let host = try await bench.host()
            let (spec, console) = try await bench.running(on: host)
            let process = try bench.process(of: spec)
            try await host.writeConsole(spec.uuid, Array("b2000\n".utf8))
            try await eventually("some of the lines") { console.bytes(limit: 4096).count > 100_000 }
            var text = String(decoding: console.bytes(limit: 0), as: UTF8.self)
            await console.close()
            await host.simulateCrash()

            let next = try await bench.host()
            #expect(try await next.machine(spec.uuid).state == .running)
            #expect(try bench.process(of: spec) == process)
            let second = try await ConsoleReader(next.openConsole(spec.uuid))
            text += try await second.until("blast done")
            #expect(areConsecutive(text))
            #expect(text.utf8.count > 0x2000 * 64)
            try await next.writeConsole(spec.uuid, Array("s\n".utf8))
            try await second.until("status jiffies=")
        }
    }

    @Test func whatHappenedMeanwhileIsReported() async throws {
        try await withBench { bench in
            let host = try await bench.host()
            let (poweredOff, console) = try await bench.running(on: host, "powered-off")
            let (killed, _) = try await bench.running(on: host, "killed")
            let (paused, _) = try await bench.running(on: host, "paused")
            _ = try await host.setState(paused.uuid, .paused, deadline: Bench.limit)
            let before = console.text
            await console.close()
            // Hundreds of lines that nobody reads before the next worker: with them QEMU waits for it.
            try await host.writeConsole(poweredOff.uuid, Array("b400\np\n".utf8))
            await host.simulateCrash()
            let victim = try bench.process(of: killed)
            kill(victim, SIGKILL)
            try await eventually("the killed process' end") { !bench.machineProcesses().contains(victim) }

            let next = try await bench.host()
            let events = EventLog(next)
            let reader = try await ConsoleReader(next.openConsole(poweredOff.uuid))
            let text = before + (try await reader.untilEnd())
            #expect(text.hasSuffix("power off\r\n") && areConsecutive(text))
            try await events.until(.stopped(.guest), poweredOff)
            try await events.until(.crashed, killed)
            #expect(try await next.machine(poweredOff.uuid).state == .off)
            #expect(try await next.machine(killed.uuid).state == .error)
            #expect(try await next.machine(paused.uuid).state == .paused)
            #expect(!events.kinds(paused).contains(.crashed))
            try await eventually("the process' end") { bench.machineProcesses().count == 1 }
        }
    }

    /// A worker that finds QEMU gone, and nothing written down, takes that for a crash.
    @Test func aPowerOffIsWrittenDownBeforeQEMUIsLetGo() async throws {
        try await withBench { bench in
            let host = try await bench.host()
            let events = EventLog(host)
            let (spec, console) = try await bench.running(on: host)
            await console.close()
            try await host.writeConsole(spec.uuid, Array("b4\np\n".utf8))
            try await events.until(.stopped(.guest), spec)
            // It waits with its last words, and from now on cannot go.
            let process = try bench.process(of: spec)
            kill(process, SIGSTOP)
            _ = try await ConsoleReader(host.openConsole(spec.uuid)).until("power off")
            try await eventually("the state on disk") { try record(bench, spec)["state"] as? String == "off" }
            await host.simulateCrash()
            kill(process, SIGKILL)
            try await eventually("its end") { bench.machineProcesses().isEmpty }
            #expect(try await bench.host().machine(spec.uuid).state == .off)
        }
    }

    @Test func aProcessThatWasNeverWrittenDownIsFound() async throws {
        try await withBench { bench in
            let host = try await bench.host()
            let (spec, _) = try await bench.running(on: host)
            let process = try bench.process(of: spec)
            await host.simulateCrash()
            // As if the worker had been killed between starting QEMU and writing its record.
            try rewriteRecord(bench, spec) { record in
                record["process"] = nil
                record["state"] = "off"
            }
            let next = try await bench.host()
            #expect(try await next.machine(spec.uuid).state == .running)
            #expect(try bench.process(of: spec) == process)
            try await next.deleteMachine(spec.uuid)
            #expect(bench.machineProcesses().isEmpty)
        }
    }

    @Test func anotherProcessWithTheSamePidIsNotTouched() async throws {
        try await withBench { bench in
            let host = try await bench.host()
            let (spec, _) = try await bench.running(on: host)
            await host.simulateCrash()
            kill(try bench.process(of: spec), SIGKILL)
            try await eventually("its end") { bench.machineProcesses().isEmpty }
            try rewriteRecord(bench, spec) { record in
                var process = record["process"] as? [String: Any] ?? [:]
                process["pid"] = Int(getpid())
                record["process"] = process
            }
            let next = try await bench.host()
            #expect(try await next.machine(spec.uuid).state == .error)
            #expect(try await next.setState(spec.uuid, .off, deadline: Bench.limit) == .off)
        }
    }

    @Test func aRebootOfTheHostIsNoCrash() async throws {
        try await withBench { bench in
            let host = try await bench.host()
            let (spec, _) = try await bench.running(on: host)
            await host.simulateCrash()
            kill(try bench.process(of: spec), SIGKILL)
            try await eventually("its end") { bench.machineProcesses().isEmpty }
            try rewriteRecord(bench, spec) { record in
                var process = record["process"] as? [String: Any] ?? [:]
                process["boot_id"] = "another"
                record["process"] = process
            }
            let next = try await bench.host()
            #expect(try await next.machine(spec.uuid).state == .off)
            try await EventLog(next).until(.stopped(.host), spec)
        }
    }

    @Test func aSuspensionThatWasBegunIsTakenBackOrFinished() async throws {
        try await withBench { bench in
            let host = try await bench.host()
            let (spec, _) = try await bench.running(on: host)
            await host.simulateCrash()
            // Begun, and nothing done yet.
            try rewriteRecord(bench, spec) { $0["task"] = ["name": "saving", "resumes": true] }
            let next = try await bench.host()
            #expect(try await next.machine(spec.uuid).state == .running)
            #expect(try await next.setState(spec.uuid, .saved, deadline: Bench.limit) == .saved)
            await next.simulateCrash()
            // Done, but for the last record.
            try rewriteRecord(bench, spec) { record in
                record["task"] = ["name": "saving", "resumes": true]
                record["state"] = "running"
                record["saved"] = nil
            }
            let last = try await bench.host()
            #expect(try await last.machine(spec.uuid).state == .saved)
            #expect(try await last.setState(spec.uuid, .running, deadline: Bench.limit) == .running)
        }
    }

    @Test func aHungProcessDoesNotHoldUpTheNextWorker() async throws {
        try await withBench { bench in
            let host = try await bench.host()
            let (hung, _) = try await bench.running(on: host, "hung")
            let (other, _) = try await bench.running(on: host, "other")
            let process = try bench.process(of: hung)
            kill(process, SIGSTOP)
            await host.simulateCrash()
            let next = try await bench.host { $0.adoptTimeout = .milliseconds(300) }
            #expect(try await next.machine(hung.uuid).state == .running)
            let refused = await code { _ = try await next.setState(hung.uuid, .paused, deadline: Bench.limit) }
            #expect(refused == .unavailable)
            #expect(try await next.setState(other.uuid, .paused, deadline: Bench.limit) == .paused)
            kill(process, SIGCONT)
            try await eventually("the monitor's answer") {
                await code { _ = try await next.setState(hung.uuid, .paused, deadline: Bench.limit) } == nil
            }
        }
    }

    @Test func whatWasNeverCompleteIsRemovedAndASecondWorkerIsRefused() async throws {
        try await withBench { bench in
            let host = try await bench.host()
            #expect(await code { _ = try await bench.host() } == .unavailable)
            await host.simulateCrash()
            let place = bench.directory + "/q/\(newUUID())"
            try FileManager.default.createDirectory(atPath: place, withIntermediateDirectories: true)
            try Data().write(to: URL(filePath: place + "/machine.json.new"))
            let next = try await bench.host()
            #expect(try await next.machines().isEmpty)
            #expect(!FileManager.default.fileExists(atPath: place))
        }
    }

    private func rewriteRecord(_ bench: Bench, _ spec: MachineSpec, _ change: (inout [String: Any]) -> Void) throws {
        var record = try record(bench, spec)
        change(&record)
        try JSONSerialization.data(withJSONObject: record).write(to: file(bench, spec))
    }

    private func record(_ bench: Bench, _ spec: MachineSpec) throws -> [String: Any] {
        try #require(try JSONSerialization.jsonObject(with: Data(contentsOf: file(bench, spec))) as? [String: Any])
    }

    private func file(_ bench: Bench, _ spec: MachineSpec) -> URL {
        URL(filePath: bench.directory + "/q/\(spec.uuid)/machine.json")
    }
}
