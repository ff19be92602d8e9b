import DaemonBench
import OsloMessaging
import RPCClient
import Support
import Synchronization
import TestSupport
import Testing

/// Calls that change machines, without pause, from several callers; every call is accounted for.
final class Load: Sendable {
    private struct State {
        var answered: Set<String> = []
        var timedOut: Set<String> = []
        var number = 0
        var isOver = false
    }

    private let bench: Bench
    private let state = Mutex(State())

    private let timeout: Duration

    private init(_ bench: Bench, _ timeout: Duration) {
        self.bench = bench
        self.timeout = timeout
    }

    /// Runs `body` under load, then checks what became of each request: none ran twice, each that ended was answered.
    ///
    /// - Parameter timeout: of each call; longer than the troubles last, unless they lose requests.
    static func run(
        _ bench: Bench,
        timeout: Duration = .seconds(8),
        _ body: @Sendable (Load) async throws -> Void
    ) async throws {
        let load = Load(bench, timeout)
        let instances = (0..<6).map { TestInstance("load-\($0)", on: $0 % 2 == 0 ? "host-a" : "host-b") }
        for instance in instances { try await bench.spawn(instance) }
        try await withThrowingTaskGroup(of: Void.self) { group in
            for instance in instances { group.addTask { try await load.drive(instance) } }
            defer { load.state.withLock { $0.isOver = true } }
            try await body(load)
            load.state.withLock { $0.isOver = true }
            try await group.waitForAll()
        }
        try await load.check()
    }

    /// Brings a trouble about, and waits until all callers have had answers again.
    func survives(_ trouble: String, _ cause: @Sendable () async throws -> Void) async throws {
        let start = ContinuousClock.now
        try await cause()
        let over = ContinuousClock.now
        for host in ["host-a", "host-b"] {
            try await eventually(timeout: .seconds(30), "service on \(host) after \(trouble)") {
                (try? await self.bench.call("ping", on: host, timeout: .milliseconds(500))) != nil
            }
        }
        let served = ContinuousClock.now
        let answered = state.withLock { $0.answered.count }
        try await eventually(timeout: .seconds(60), "answers after \(trouble)") {
            self.state.withLock { $0.answered.count } >= answered + 12
        }
        print("\(trouble): took \(over - start), both hosts answered \(served - over) after its end")
    }

    private func drive(_ instance: TestInstance) async throws {
        var pauses = true
        while let id = next() {
            do {
                try await bench.call(
                    pauses ? "pause" : "unpause",
                    instance.reference,
                    on: instance.host,
                    requestID: id,
                    timeout: timeout
                )
                state.withLock { _ = $0.answered.insert(id) }
                pauses.toggle()
            } catch let failure as RemoteFailure {
                // After a call whose answer is unknown, the state may be the other one.
                guard failure.className == "InstanceInvalidState" else { throw failure }
                state.withLock { _ = $0.answered.insert(id) }
                pauses.toggle()
            } catch let error as RPCClientError where error.isTimeout || error.code == .undeliverable {
                // Lost with the broker's queue, before any worker had it.
                state.withLock { _ = $0.timedOut.insert(id) }
            }
        }
    }

    private func next() -> String? {
        state.withLock { state in
            guard !state.isOver else { return nil }
            state.number += 1
            return "load-\(state.number)."
        }
    }

    private func check() async throws {
        let (answered, lost) = state.withLock { ($0.answered, $0.timedOut) }
        // The log is written a moment after the answer.
        try await eventually(timeout: .seconds(20), "the log has every answered operation") {
            answered.subtracting(self.ended().keys).isEmpty
        }
        let ended = ended()
        #expect(ended.filter { $0.value > 1 }.isEmpty, "executed twice")
        #expect(lost.intersection(ended.keys).isEmpty, "executed and not answered")
        print("load: \(answered.count) answered, \(lost.count) lost in the broker's queues")
    }

    /// How often the log says of each request that its operation ended.
    private func ended() -> [String: Int] {
        let lines = bench.daemon.logLines.filter { $0.contains(" operation ") && $0.contains("request_id=load-") }
        var ended: [String: Int] = [:]
        for line in lines where !line.contains("outcome=expired") {
            guard let word = line.split(separator: " ").first(where: { $0.hasPrefix("request_id=") }) else { continue }
            ended[String(word.dropFirst("request_id=".count)), default: 0] += 1
        }
        return ended
    }
}
