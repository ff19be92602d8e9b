import Synchronization

/// The tasks in which requests run. They are unstructured because they are started from the connection's and the
/// journals' threads; this registry is what cancels and counts them.
final class OperationTasks: Sendable {
    private struct State {
        var next: UInt64 = 0
        /// `nil` until the task, which may already run, is known.
        var tasks: [UInt64: Task<Void, Never>?] = [:]
        var cancelled = false
    }

    private let state = Mutex(State())

    /// Runs `body` on the global pool.
    func start(_ body: @escaping @Sendable () async -> Void) {
        let id = state.withLock { state in
            state.next += 1
            state.tasks[state.next] = .some(nil)
            return state.next
        }
        // Cancelled by `cancelAll()`. Awaited through `Outstanding`, which every request enters and leaves.
        let task = Task { [self] in
            await body()
            state.withLock { _ = $0.tasks.removeValue(forKey: id) }
        }
        let cancelled = state.withLock { state in
            if state.tasks[id] != nil { state.tasks[id] = task }
            return state.cancelled
        }
        if cancelled { task.cancel() }
    }

    /// Cancels all tasks, also those started later.
    func cancelAll() {
        let tasks = state.withLock { state in
            state.cancelled = true
            return state.tasks.values.compactMap { $0 }
        }
        for task in tasks { task.cancel() }
    }
}
