import Synchronization

/// A flag that is set once and can be waited for.
final class ConsoleSignal: Sendable {
    private struct State {
        var isSet = false
        var next: UInt64 = 0
        var waiting: [(number: UInt64, resume: @Sendable () -> Void)] = []
    }

    private let state = Mutex(State())

    var isSet: Bool { state.withLock { $0.isSet } }

    func set() {
        let waiting = state.withLock { state in
            defer { state.waiting = [] }
            state.isSet = true
            return state.waiting
        }
        for (_, resume) in waiting { resume() }
    }

    /// Runs `body` once the flag is set, at once if it is, on whatever thread sets it.
    ///
    /// - Returns: a number for ``forget(_:)``.
    func then(_ body: @escaping @Sendable () -> Void) -> UInt64 {
        let (isSet, number) = state.withLock { state in
            state.next += 1
            if !state.isSet { state.waiting.append((state.next, body)) }
            return (state.isSet, state.next)
        }
        if isSet { body() }
        return number
    }

    func forget(_ number: UInt64) {
        state.withLock { state in state.waiting.removeAll { $0.number == number } }
    }

    /// Returns when set or when the task is cancelled.
    func wait() async {
        let number = state.withLock { state in
            state.next += 1
            return state.next
        }
        await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                let isOver = state.withLock { state in
                    guard !state.isSet, !Task.isCancelled else { return true }
                    state.waiting.append((number, { continuation.resume() }))
                    return false
                }
                if isOver { continuation.resume() }
            }
        } onCancel: {
            let resume = state.withLock { state in
                state.waiting.firstIndex { $0.number == number }.map { state.waiting.remove(at: $0).resume }
            }
            resume?()
        }
    }

    /// The same for at most `limit`.
    ///
    /// - Returns: whether it is set.
    @discardableResult
    func wait(limit: Duration) async -> Bool {
        if isSet { return true }
        await withTaskGroup(of: Void.self) { group in
            group.addTask { await self.wait() }
            group.addTask { try? await Task.sleep(for: limit) }
            await group.next()
            group.cancelAll()
        }
        return isSet
    }
}
