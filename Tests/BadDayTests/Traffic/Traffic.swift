import DaemonBench
import Foundation
import OsloMessaging
import RPCClient
import Support
import Synchronization
import TestSupport
import Testing

/// Requests of all kinds to the hosts of a daemon, without pause, while the test does something bad to it; afterwards
/// everything that was asked for is held against what is there.
///
/// Drivers send one random operation after the other to a machine of their own, some twice as cast and call, and move
/// it between the hosts. Floods send hundreds at once whose order does not matter.
final class Traffic: Sendable {
    struct Settings: Sendable {
        var hosts = ["host-a", "host-b"]
        var drivers = 8
        /// Machines, and requests to each at once; none = no flood.
        var floodTargets = 0
        var floodWave = 50
        /// Between two operations of a driver; five times as long between two waves.
        var pause = Duration.zero
        /// Of each call; longer than the troubles last, unless they lose requests.
        var timeout = Duration.seconds(120)
        /// The trouble loses requests in the broker, as when a queue is deleted.
        var losesRequests = false
        var backend = TestBackend.selected
    }

    struct State {
        var models: [TestInstance: MachineModel] = [:]
        /// Machines about which nothing is known after a request without an answer.
        var abandoned: Set<String> = []
        var counts = TrafficCounts()
        var generation = 0
        var isOver = false
        var answeredIDs: Set<String> = []
        var unansweredIDs: Set<String> = []
    }

    let bench: Bench
    let settings: Settings
    let state = Mutex(State())

    private init(_ bench: Bench, _ settings: Settings) {
        self.bench = bench
        self.settings = settings
    }

    var counts: TrafficCounts { state.withLock { $0.counts } }
    var isOver: Bool { state.withLock { $0.isOver } }
    var volumes: String { bench.daemon.directory + "/volumes" }

    /// Runs `body` under traffic, lets what was begun come to its end, and checks.
    @discardableResult
    static func run(
        _ bench: Bench,
        _ settings: Settings,
        _ body: @escaping @Sendable (Traffic) async throws -> Void
    ) async throws -> TrafficCounts {
        let traffic = Traffic(bench, settings)
        try FileManager.default.createDirectory(atPath: traffic.volumes, withIntermediateDirectories: true)
        try await withThrowingTaskGroup(of: Void.self) { group in
            for number in 0..<settings.drivers {
                let host = settings.hosts[number % settings.hosts.count]
                group.addTask { try await traffic.drive(number, startingOn: host) }
            }
            if settings.floodTargets > 0 { group.addTask { try await traffic.flood() } }
            group.addTask {
                defer { traffic.state.withLock { $0.isOver = true } }
                try await body(traffic)
            }
            try await group.waitForAll()
        }
        try await traffic.check()
        return traffic.counts
    }

    /// Notes a fault, brings it about, and measures how long after its end all hosts answer again.
    func survives(_ fault: String, _ cause: @Sendable () async throws -> Void) async throws {
        let start = ContinuousClock.now
        try await cause()
        let over = ContinuousClock.now
        try await untilServed(after: fault)
        let served = ContinuousClock.now
        let answered = counts.answered
        try await eventually(timeout: .seconds(90), "answers after \(fault)") {
            self.counts.answered >= answered + self.settings.drivers
        }
        let line = "\(fault): took \(over - start), all hosts answered \(served - over) after its end"
        print(line)
        state.withLock { $0.counts.faults.append(line) }
    }

    func untilServed(after fault: String) async throws {
        for host in settings.hosts {
            try await eventually(timeout: .seconds(60), "service on \(host) after \(fault)") {
                (try? await self.bench.call("ping", on: host, timeout: .milliseconds(500))) != nil
            }
        }
    }

    // MARK: - Requests

    /// Sends a change and waits for its end.
    ///
    /// - Parameter asCast: Also send it as a cast, before.
    func perform(
        _ operation: MachineOperation,
        _ instance: TestInstance,
        on host: String,
        asCast: Bool = false
    ) async throws -> MachineModel.Ending {
        let arguments = operation.arguments(instance, volumes: volumes)
        if asCast {
            try await untilTaken(call: false) { id in
                try await bench.cast(operation.method, arguments, on: host, requestID: id)
            }
        }
        return try await untilTaken(call: true) { id in
            try await call(operation, instance, on: host, arguments, id)
        }
    }

    /// Sends a request that the broker refuses to take again, as another one.
    func untilTaken<Result>(call: Bool, _ send: (_ id: String) async throws -> Result) async throws -> Result {
        while true {
            let id = newID(call: call)
            do {
                return try await send(id)
            } catch let error as RPCClientError where error.code == .deliveryFailed {
                state.withLock { $0.counts.withdraw(call: call) }
                try await Task.sleep(for: .milliseconds(100))
            }
        }
    }

    private func call(
        _ operation: MachineOperation,
        _ instance: TestInstance,
        on host: String,
        _ arguments: JSONObject,
        _ id: String
    ) async throws -> MachineModel.Ending {
        do {
            try await bench.call(operation.method, arguments, on: host, requestID: id, timeout: settings.timeout)
            answered(id, refused: false)
            return .succeeded
        } catch is RemoteFailure {
            answered(id, refused: true)
            return .failed
        } catch let error as RPCClientError
            where error.isTimeout || error.code == .undeliverable || error.code == .unreachable
        {
            state.withLock { state in
                state.counts.unanswered += 1
                state.counts.inFlight -= 1
                state.unansweredIDs.insert(id)
            }
            if !settings.losesRequests {
                Issue.record("no answer to \(operation) \(id) of \(instance.uuid) on \(host): \(error)")
            }
            return .unknown
        }
    }

    private func answered(_ id: String, refused: Bool) {
        state.withLock { state in
            state.counts.answered += 1
            state.counts.inFlight -= 1
            if refused { state.counts.refused += 1 }
            state.answeredIDs.insert(id)
        }
    }

    func newID(call: Bool) -> String {
        state.withLock { state in
            state.counts.sent(call: call)
            return "traffic-\(state.counts.changes)."
        }
    }

    /// The state of a machine on a host.
    func stateOrAbsent(_ instance: TestInstance, on host: String) async throws -> String {
        state.withLock { $0.counts.reads += 1 }
        do {
            let info = try await bench.call("get_info", instance.reference, on: host)
            return info["state"]?.stringValue ?? "?"
        } catch let failure as RemoteFailure where failure.className == "InstanceNotFound" {
            return MachineModel.absent
        }
    }
}
