import Synchronization

/// A value that is there once, for one task that waits for it. The first resolution counts, also cancellation.
package final class OneShot<Value: Sendable>: Sendable {
    private enum State {
        case open
        case waiting(CheckedContinuation<Value, any Error>)
        case resolved(Result<Value, any Error>)
    }

    private let state = Mutex(State.open)

    package init() {}

    /// - Returns: whether this was the first.
    @discardableResult
    package func resolve(_ result: Result<Value, any Error>) -> Bool {
        let (isFirst, waiter) = state.withLock { state -> (Bool, CheckedContinuation<Value, any Error>?) in
            switch state {
            case .open:
                state = .resolved(result)
                return (true, nil)
            case .waiting(let waiter):
                state = .resolved(result)
                return (true, waiter)
            case .resolved: return (false, nil)
            }
        }
        waiter?.resume(with: result)
        return isFirst
    }

    /// To be called once.
    package func value() async throws -> Value {
        try await withTaskCancellationHandler {
            try await withCheckedThrowingContinuation { continuation in
                let result = state.withLock { state -> Result<Value, any Error>? in
                    if case .resolved(let result) = state { return result }
                    state = .waiting(continuation)
                    return nil
                }
                if let result { continuation.resume(with: result) }
            }
        } onCancel: {
            resolve(.failure(CancellationError()))
        }
    }
}
