import DequeModule
import Synchronization

/// Runs bodies one at a time, first come first served, also across their suspensions.
///
/// A cancelled waiter leaves the queue with `CancellationError`. A body that has started is never interrupted by the
/// lane. The number of waiters is bounded by whoever admits work to the lane.
package final class SerialLane: Sendable {
    private struct Waiter {
        let id: UInt64
        let continuation: CheckedContinuation<Void, any Error>
    }

    private struct State {
        var busy = false
        var nextID: UInt64 = 0
        var waiters: Deque<Waiter> = []
        var cancelledEarly: Set<UInt64> = []
    }

    private let state = Mutex(State())

    package init() {}

    /// How many bodies wait for their turn.
    package var waiting: Int { state.withLock { $0.waiters.count } }

    /// Whether a body runs now.
    package var isBusy: Bool { state.withLock { $0.busy } }

    /// Waits for the turn, runs `body`, and lets the next one in, whatever way `body` ends.
    package func run<Result, Failure: Error>(
        _ body: () async throws(Failure) -> Result
    ) async throws -> Result {
        try await enter()
        defer { leave() }
        return try await body()
    }

    private func enter() async throws {
        let id = state.withLock { state -> UInt64? in
            if !state.busy {
                state.busy = true
                return nil
            }
            state.nextID += 1
            return state.nextID
        }
        guard let id else { return }
        try await withTaskCancellationHandler {
            try await withCheckedThrowingContinuation { continuation in
                let entered = state.withLock { state -> Result<Bool, any Error> in
                    if state.cancelledEarly.remove(id) != nil { return .failure(CancellationError()) }
                    if !state.busy {
                        state.busy = true
                        return .success(true)
                    }
                    state.waiters.append(Waiter(id: id, continuation: continuation))
                    return .success(false)
                }
                switch entered {
                case .failure(let error): continuation.resume(throwing: error)
                case .success(true): continuation.resume()
                case .success(false): break
                }
            }
        } onCancel: {
            let waiter = state.withLock { state -> Waiter? in
                guard let position = state.waiters.firstIndex(where: { $0.id == id }) else {
                    state.cancelledEarly.insert(id)
                    return nil
                }
                return state.waiters.remove(at: position)
            }
            waiter?.continuation.resume(throwing: CancellationError())
        }
        state.withLock { _ = $0.cancelledEarly.remove(id) }
    }

    private func leave() {
        let next = state.withLock { state -> Waiter? in
            guard let waiter = state.waiters.popFirst() else {
                state.busy = false
                return nil
            }
            return waiter
        }
        next?.continuation.resume()
    }
}
