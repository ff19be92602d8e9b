import Foundation
import HostBackend
import HostConformance
import QEMUHost
import Synchronization
import TestSupport
import Testing

/// What guests do by themselves, and what happens to their processes.
@Suite(.timeLimit(.minutes(5)), .enabled(if: QEMUProgram.isInstalled, Comment(rawValue: QEMUProgram.missing)))
struct GuestEventTests {
    @Test func aGuestThatPowersOffIsOffAndItsLastWordsAreRead() async throws {
        try await withBench { bench in
            let host = try await bench.host()
            let events = EventLog(host)
            let (spec, console) = try await bench.running(on: host)
            try await host.writeConsole(spec.uuid, Array("p\n".utf8))
            try await events.until(.stopped(.guest), spec)
            #expect(try await host.machine(spec.uuid).state == .off)
            let text = try await console.untilEnd()
            #expect(text.contains("power off") && areConsecutive(text))
            try await eventually("the process' end") { bench.machineProcesses().isEmpty }
            #expect(try await host.setState(spec.uuid, .running, deadline: Bench.limit) == .running)
            #expect(events.kinds(spec) == [.started, .stopped(.guest), .started])
        }
    }

    @Test func aGuestThatIsAskedShutsDown() async throws {
        try await withBench { bench in
            let host = try await bench.host()
            let events = EventLog(host)
            let (spec, console) = try await bench.running(on: host)
            #expect(try await host.requestShutdown(spec.uuid, reason: "test") == .accepted)
            try await events.until(.stopped(.requested), spec)
            #expect(try await console.untilEnd().contains("power button"))
            #expect(await code { _ = try await host.requestShutdown(spec.uuid, reason: "") } == .invalidState)
        }
    }

    @Test(arguments: ["r", "x"]) func aGuestThatRebootsIsReportedOnceAndKeepsItsConsole(command: String) async throws {
        try await withBench { bench in
            let host = try await bench.host()
            let events = EventLog(host)
            let (spec, console) = try await bench.running(on: host)
            let process = try bench.process(of: spec)
            try await host.writeConsole(spec.uuid, Array("\(command)\n".utf8))
            try await events.until(.rebooted, spec)
            try await eventually("a second boot") { console.text.components(separatedBy: "] ready").count == 3 }
            // One that was asked for is no event, so whatever it would make comes before the end's.
            #expect(try await host.reset(spec.uuid) == .running)
            try await eventually("a third boot") { console.text.components(separatedBy: "] ready").count == 4 }
            #expect(try bench.process(of: spec) == process)
            _ = try await host.setState(spec.uuid, .off, deadline: Bench.limit)
            try await events.until(.stopped(.requested), spec)
            #expect(events.kinds(spec) == [.started, .rebooted, .stopped(.requested)])
        }
    }

    @Test func aProcessThatIsKilledIsACrashAndTheMachineStartsAgain() async throws {
        try await withBench { bench in
            let host = try await bench.host()
            let events = EventLog(host)
            let (spec, console) = try await bench.running(on: host)
            kill(try bench.process(of: spec), SIGKILL)
            try await events.until(.crashed, spec)
            #expect(try await host.machine(spec.uuid).state == .error)
            _ = try await console.untilEnd()
            #expect(await code { _ = try await host.reset(spec.uuid) } == .invalidState)
            #expect(try await host.setState(spec.uuid, .running, deadline: Bench.limit) == .running)
            try await ConsoleReader(host.openConsole(spec.uuid)).until("] ready")
        }
    }

    @Test func aProcessThatIsToldToEndByTheHostWasStoppedByTheHost() async throws {
        try await withBench { bench in
            let host = try await bench.host()
            let events = EventLog(host)
            let (spec, _) = try await bench.running(on: host)
            kill(try bench.process(of: spec), SIGTERM)
            try await events.until(.stopped(.host), spec)
            #expect(try await host.machine(spec.uuid).state == .off)
        }
    }

    @Test func aHungProcessConcernsItsMachineAloneAndCanBeTurnedOff() async throws {
        try await withBench { bench in
            let host = try await bench.host {
                $0.commandTimeout = .milliseconds(300)
                $0.quitTimeout = .milliseconds(300)
            }
            let (hung, _) = try await bench.running(on: host, "hung")
            let (other, _) = try await bench.running(on: host, "other")
            let process = try bench.process(of: hung)
            kill(process, SIGSTOP)
            #expect(await code { _ = try await host.setState(hung.uuid, .paused, deadline: Bench.limit) } == .timeout)
            #expect(await code { _ = try await host.requestShutdown(hung.uuid, reason: "") } == .timeout)
            #expect(try await host.machine(hung.uuid).state == .running)
            #expect(try await host.setState(other.uuid, .paused, deadline: Bench.limit) == .paused)
            #expect(try await host.setState(hung.uuid, .off, deadline: Bench.limit) == .off)
            #expect(try bench.machineProcesses() == [bench.process(of: other)])
        }
    }

    @Test func aStartThatFailsSaysWhyAndLeavesNothing() async throws {
        try await withBench { bench in
            let host = try await bench.host()
            let spec = try bench.spec()
            try FileManager.default.removeItem(atPath: spec.disks[0].path)
            try await host.createMachine(spec)
            let error = await #expect(throws: BackendError.self) {
                _ = try await host.setState(spec.uuid, .running, deadline: Bench.limit)
            }
            #expect(error?.message.contains("No such file or directory") == true, "\(String(describing: error))")
            #expect(try await host.machine(spec.uuid).state == .off)
            #expect(bench.machineProcesses().isEmpty)
            try TickGuest.writeDisk(spec.disks[0].path)
            #expect(try await host.setState(spec.uuid, .running, deadline: Bench.limit) == .running)
        }
    }

    @Test func cyclesLeaveNoProcessAndNoDescriptor() async throws {
        try await withBench { bench in
            let host = try await bench.host()
            func cycle() async throws {
                let spec = try bench.spec()
                try await host.createMachine(spec)
                _ = try await host.setState(spec.uuid, .running, deadline: Bench.limit)
                let console = try await ConsoleReader(host.openConsole(spec.uuid))
                try await console.until("tickguest")
                await console.close()
                try await host.deleteMachine(spec.uuid)
            }
            // Enough for a leak to show; VMOPS_QEMU_CYCLES asks for more.
            let count = ProcessInfo.processInfo.environment["VMOPS_QEMU_CYCLES"].flatMap { Int($0) } ?? 20
            for _ in 0..<count { try await cycle() }
            #expect(bench.machineProcesses().isEmpty)
            let open = try FileManager.default.contentsOfDirectory(atPath: "/proc/self/fd").compactMap { name in
                try? FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/fd/\(name)")
            }
            #expect(open.filter { $0.contains(bench.directory) } == [bench.directory + "/q/lock"])
            #expect(try FileManager.default.contentsOfDirectory(atPath: bench.directory + "/q") == ["lock"])
            let children = try String(contentsOfFile: "/proc/self/task/\(getpid())/children", encoding: .utf8)
            for child in children.split(separator: " ") {
                let name = (try? String(contentsOfFile: "/proc/\(child)/comm", encoding: .utf8)) ?? ""
                let state = (try? String(contentsOfFile: "/proc/\(child)/stat", encoding: .utf8)) ?? ""
                #expect(!(name.hasPrefix("qemu-system") && state.contains(") Z ")), "a zombie")
            }
        }
    }
}

/// Collects a host's events from its making on.
final class EventLog: Sendable {
    private let events = Mutex<[MachineEvent]>([])
    private let reader = Mutex<Task<Void, Never>?>(nil)

    init(_ host: QEMUHost) {
        let stream = host.events()
        // Ends with the stream when the host disconnects; cancelled with this log.
        let task = Task { [weak self] in
            for await event in stream { self?.events.withLock { $0.append(event) } }
        }
        reader.withLock { $0 = task }
    }

    deinit { reader.withLock { $0?.cancel() } }

    func kinds(_ spec: MachineSpec) -> [MachineEvent.Kind] {
        events.withLock { $0.filter { $0.uuid == spec.uuid }.map(\.kind) }
    }

    func until(_ kind: MachineEvent.Kind, _ spec: MachineSpec) async throws {
        try await eventually("\(kind) among \(kinds(spec))") { kinds(spec).contains(kind) }
    }
}
