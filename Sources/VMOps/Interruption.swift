import Synchronization

/// Lets one operation cut short the waiting of another: a destroy need not sit out a soft shutdown.
///
/// Interrupting is permanent and may come before, during or after the wait.
final class Interruption: Sendable {
    private struct State {
        var reason: String?
        var waiters: [UInt64: CheckedContinuation<Void, Never>] = [:]
        var nextID: UInt64 = 0
    }

    private let state = Mutex(State())

    /// Who interrupted; `nil` so far.
    var reason: String? { state.withLock { $0.reason } }

    func interrupt(_ reason: String) {
        let waiters = state.withLock { state in
            state.reason = state.reason ?? reason
            defer { state.waiters = [:] }
            return state.waiters
        }
        for waiter in waiters.values { waiter.resume() }
    }

    /// Returns when interrupted; throws when the task is cancelled.
    func wait() async throws {
        let id = state.withLock { state in
            state.nextID += 1
            return state.nextID
        }
        await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                let over = state.withLock { state in
                    if state.reason != nil || Task.isCancelled { return true }
                    state.waiters[id] = continuation
                    return false
                }
                if over { continuation.resume() }
            }
        } onCancel: {
            state.withLock { $0.waiters.removeValue(forKey: id) }?.resume()
        }
        try Task.checkCancellation()
    }

    /// Sleeps for `duration` or until interrupted.
    ///
    /// - Returns: whether the whole time has passed.
    @concurrent
    func sleep(for duration: Duration) async throws -> Bool {
        try await withThrowingTaskGroup(of: Bool.self) { group in
            group.addTask {
                try await Task.sleep(for: duration)
                return true
            }
            group.addTask {
                try await self.wait()
                return false
            }
            defer { group.cancelAll() }
            return try await group.next() ?? false
        }
    }

    /// Runs `body`, cancelling it when interrupted.
    @concurrent
    func cancelling<Result: Sendable>(_ body: @escaping @Sendable () async throws -> Result) async throws -> Result {
        try await withThrowingTaskGroup(of: Result?.self) { group in
            group.addTask { try await body() }
            group.addTask {
                try await self.wait()
                return nil
            }
            defer { group.cancelAll() }
            while let outcome = try await group.next() {
                if let result = outcome { return result }
                group.cancelAll()
            }
            throw CancellationError()
        }
    }
}
