import Synchronization

/// Lines that one task brings and others take, in order. Holds as many as come: a test's peer prints little.
final class LineQueue: Sendable {
    private struct State {
        var lines: [String] = []
        var waiting: [(id: Int, continuation: CheckedContinuation<String?, any Error>)] = []
        var nextID = 0
        var isFinished = false
    }

    private let state = Mutex(State())

    func append(_ line: String) {
        let waiter = state.withLock { state -> CheckedContinuation<String?, any Error>? in
            if state.waiting.isEmpty {
                state.lines.append(line)
                return nil
            }
            return state.waiting.removeFirst().continuation
        }
        waiter?.resume(returning: line)
    }

    /// No more lines come; who waits gets `nil`.
    func finish() {
        let waiters = state.withLock { state in
            state.isFinished = true
            defer { state.waiting = [] }
            return state.waiting
        }
        for waiter in waiters { waiter.continuation.resume(returning: nil) }
    }

    /// The next line, `nil` after the last.
    ///
    /// - Throws: `CancellationError`; no line is lost by it.
    func next() async throws -> String? {
        let id = state.withLock { state in
            state.nextID += 1
            return state.nextID
        }
        return try await withTaskCancellationHandler {
            try await withCheckedThrowingContinuation { continuation in
                let result = state.withLock { state -> Result<String?, any Error>? in
                    if Task.isCancelled { return .failure(CancellationError()) }
                    if !state.lines.isEmpty { return .success(state.lines.removeFirst()) }
                    if state.isFinished { return .success(nil) }
                    state.waiting.append((id, continuation))
                    return nil
                }
                if let result { continuation.resume(with: result) }
            }
        } onCancel: {
            let waiter = state.withLock { state -> CheckedContinuation<String?, any Error>? in
                guard let index = state.waiting.firstIndex(where: { $0.id == id }) else { return nil }
                return state.waiting.remove(at: index).continuation
            }
            waiter?.resume(throwing: CancellationError())
        }
    }
}
