import AMQPModel
import Synchronization

/// One publish that a task waits for.
final class OutcomeWaiter: Sendable {
    private enum State {
        case open
        case waiting(CheckedContinuation<PublishOutcome, any Error>)
        case resolved(Result<PublishOutcome, any Error>)
    }

    private let state = Mutex(State.open)

    /// The first result counts, further ones do nothing.
    func resolve(_ result: Result<PublishOutcome, any Error>) {
        let waiter = state.withLock { state -> CheckedContinuation<PublishOutcome, any Error>? in
            switch state {
            case .open:
                state = .resolved(result)
                return nil
            case .waiting(let waiter):
                state = .resolved(result)
                return waiter
            case .resolved: return nil
            }
        }
        waiter?.resume(with: result)
    }

    /// To be called once.
    func value() async throws -> PublishOutcome {
        try await withTaskCancellationHandler {
            try await withCheckedThrowingContinuation { continuation in
                let result = state.withLock { state -> Result<PublishOutcome, any Error>? in
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
