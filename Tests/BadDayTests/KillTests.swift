import DaemonBench
import Foundation
import OsloMessaging
import Support
import Synchronization
import TestSupport
import Testing

/// The daemon is killed at random moments of mixed work and started again on its files.
@Suite(.enabled(if: TestBroker.isAvailable, Comment(rawValue: TestBroker.missing)), .timeLimit(.minutes(60)))
struct KillTests {
    /// `VMOPS_TEST_KILLS`: how often; `make soak` sets more.
    private static let rounds = ProcessInfo.processInfo.environment["VMOPS_TEST_KILLS"].flatMap { Int($0) } ?? 10

    private static let settings = DaemonSettings(options: [
        "simulated": [
            "delay_set_state_ms": "15", "delay_create_disk_ms": "15", "delay_create_machine_ms": "15",
            "delay_delete_machine_ms": "15", "delay_reset_ms": "15", "boot_lines": "3",
        ]
    ])

    @Test func everyAcceptedRequestEndsOnceWheneverTheDaemonIsKilled() async throws {
        try await Bench.run(Self.settings) { bench in
            let work = MixedWork(bench)
            try await withThrowingTaskGroup(of: Void.self) { group in
                for number in 0..<8 {
                    let instance = TestInstance("vm-\(number)", on: number % 2 == 0 ? "host-a" : "host-b")
                    group.addTask { try await work.drive(instance) }
                }
                group.addTask {
                    defer { work.finish() }
                    for round in 1...Self.rounds {
                        let pause = Int.random(in: 50...900)
                        // The moment is meant to be any.
                        try await Task.sleep(for: .milliseconds(pause))
                        try await bench.daemon.kill()
                        let start = ContinuousClock.now
                        try await bench.daemon.start()
                        print("kill \(round) after \(pause) ms: serving again after \(ContinuousClock.now - start)")
                    }
                }
                try await group.waitForAll()
            }
            try await work.check()
        }
    }
}

/// Random operations on machines, one after the other per machine, and the check of what became of them.
final class MixedWork: Sendable {
    private struct State {
        var models: [TestInstance: MachineModel] = [:]
        var requests = 0
        var calls = 0
        var refused = 0
        var isOver = false
    }

    private let bench: Bench
    private let state = Mutex(State())

    init(_ bench: Bench) { self.bench = bench }

    func finish() { state.withLock { $0.isOver = true } }

    /// - Throws: when a call is not answered at all.
    func drive(_ instance: TestInstance) async throws {
        var model = MachineModel()
        while !state.withLock({ $0.isOver }) {
            let operation = Self.choose(model)
            let isCast = Int.random(in: 0..<4) == 0
            let id = state.withLock { state in
                state.requests += 1
                if !isCast { state.calls += 1 }
                return "kill-\(state.requests)."
            }
            model.sent(operation)
            let arguments = operation.arguments(instance)
            if isCast {
                try await bench.cast(operation.rawValue, arguments, on: instance.host, requestID: id)
                model.unanswered(operation)
            } else {
                do {
                    try await bench.call(operation.rawValue, arguments, on: instance.host, requestID: id)
                    model.succeeded(operation)
                } catch let failure as RemoteFailure {
                    state.withLock { $0.refused += 1 }
                    model.failed(operation)
                    _ = failure
                }
            }
        }
        // Behind all others of the instance: when it has ended, they have.
        let last = state.withLock { state in
            state.requests += 1
            return "kill-\(state.requests)."
        }
        do {
            try await bench.call("power_on", instance.reference, on: instance.host, requestID: last)
            model.sent(.powerOn)
            model.succeeded(.powerOn)
        } catch is RemoteFailure {}
        let final = model
        state.withLock { $0.models[instance] = final }
    }

    /// Mostly what makes sense in the state, now and then anything.
    private static func choose(_ model: MachineModel) -> MachineModel.Operation {
        guard Int.random(in: 0..<8) > 0 else { return .allCases.randomElement() ?? .spawn }
        if model.possible.contains(MachineModel.absent) { return .spawn }
        if model.possible == ["off"] { return Bool.random() ? .powerOn : .destroy }
        if model.possible == ["paused"] { return .unpause }
        return [.powerOff, .pause, .reboot, .reboot, .powerOn, .destroy].randomElement() ?? .reboot
    }

    func check() async throws {
        try await eventually(timeout: .seconds(60), "the end of all requests") {
            try await self.bench.metric("vmops_rpc_running") + self.bench.metric("vmops_rpc_queued")
                + self.bench.metric("vmops_rpc_held") == 0
        }
        let (models, requests, calls, refused) = state.withLock { ($0.models, $0.requests, $0.calls, $0.refused) }
        print("\(requests) requests, \(calls) of them calls, \(refused) of these refused")
        for (instance, model) in models { try await check(instance, model) }
        try await checkDirectories(models.keys.map(\.self))
        for instance in models.keys { try await bench.call("destroy", instance.reference, on: instance.host) }
        try await checkDirectories([])
        let lines = bench.daemon.logLines.filter { $0.contains("request_id=kill-") && $0.contains(" operation") }
        let names = lines.compactMap { line in line.split(separator: " ").first { $0.hasPrefix("request_id=") } }
        let twice = Dictionary(grouping: names, by: \.self).filter { $0.value.count > 1 }.keys
        #expect(twice.isEmpty, "ended twice: \(twice)")
        #expect(!bench.daemon.log.contains("method failed unexpectedly"))
        try await bench.daemon.terminate()
        for host in ["host-a", "host-b"] {
            let journal = "\(bench.daemon.statePath)/\(host)/journal.sqlite"
            #expect(try await query(journal, "SELECT count(*) FROM request WHERE state < 2") == "0")
            #expect(try await query(journal, "SELECT count(*) FROM request WHERE reply IS NOT NULL") == "0")
        }
    }

    private func check(_ instance: TestInstance, _ model: MachineModel) async throws {
        let state = try await stateOrAbsent(instance)
        #expect(model.possible.contains(state), "\(instance.name) is \(state), not one of \(model.possible)")
        #expect(state != "error", "\(instance.name)")
        guard state != MachineModel.absent else { return }
        let marks = try await bench.call("console_marks", instance.reference, on: instance.host)
        // The mark is set before the machine starts: a start that is cut short in between leaves two at one offset.
        let offsets = marks.arrayValue?.filter { $0["kind"]?.stringValue == "boot" }.map { $0["offset"]?.intValue }
        let boots = Set(offsets ?? []).count
        #expect(
            boots <= model.boots,
            "\(instance.name) booted \(boots) times for \(model.boots) requests:\n\(history(instance, marks))"
        )
        let directory = "\(bench.daemon.statePath)/\(instance.host)/instances/\(instance.uuid)"
        #expect(Files.names(in: directory).contains { $0.hasPrefix("root") }, "\(Files.names(in: directory))")
        guard state == "running" else { return }
        // A simulated guest dies with its process, maybe before its prompt: a new one shows that the console is read.
        try await bench.call("reboot", MachineModel.Operation.reboot.arguments(instance), on: instance.host)
        try await eventually("the console of \(instance.name)") {
            let text = try await self.bench.call("get_console_output", instance.reference, on: instance.host)
            return text.stringValue?.contains("login") == true
        }
    }

    /// What the log and the console's marks tell of an instance, for a failure.
    private func history(_ instance: TestInstance, _ marks: JSONValue) -> String {
        let lines = bench.daemon.logLines.filter { $0.contains(instance.uuid) || $0.contains(" serving") }
        return "\(marks)\n" + lines.joined(separator: "\n")
    }

    private func stateOrAbsent(_ instance: TestInstance) async throws -> String {
        do {
            return try await bench.state(instance) ?? "?"
        } catch let failure as RemoteFailure where failure.className == "InstanceNotFound" {
            return MachineModel.absent
        }
    }

    /// The directories are those of the instances that the host knows.
    private func checkDirectories(_ instances: [TestInstance]) async throws {
        for host in ["host-a", "host-b"] {
            var known: [String] = []
            for instance in instances where instance.host == host {
                if try await stateOrAbsent(instance) != MachineModel.absent { known.append(instance.uuid) }
            }
            let listed = try await bench.call("list_instance_uuids", on: host).arrayValue ?? []
            #expect(listed.compactMap(\.stringValue).sorted() == known.sorted())
            let directory = "\(bench.daemon.statePath)/\(host)/instances"
            #expect(Files.names(in: directory) == known.sorted(), "\(host)")
        }
    }
}
