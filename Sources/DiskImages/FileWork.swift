import Dispatch
package import HostBackend
import Synchronization

/// Runs blocking file calls on threads of its own, at most ``width`` at a time, so that a slow disk never holds a
/// thread of the cooperative pool.
///
/// Bodies start in the order they came. The number of waiting bodies is bounded by whoever admits the operations that
/// submit them: each operation waits for its own body.
package final class FileWork: Sendable {
    /// Whether the caller of a running body has given up; long bodies look at it between blocks.
    package final class Cancellation: Sendable {
        private let flag = Atomic(false)
        private let handler = Mutex<(@Sendable () -> Void)?>(nil)

        package init() {}

        /// Has `body` called, once, when cancelled; at once if that has happened.
        package func onCancel(_ body: @escaping @Sendable () -> Void) {
            handler.withLock { $0 = body }
            if isCancelled { cancel() }
        }

        package var isCancelled: Bool { flag.load(ordering: .relaxed) }

        package func cancel() {
            flag.store(true, ordering: .sequentiallyConsistent)
            let body = handler.withLock { handler in
                defer { handler = nil }
                return handler
            }
            body?()
        }

        /// Throws `cancelled` once the caller has given up.
        package func check() throws(BackendError) {
            if isCancelled { throw BackendError(.cancelled, "the file operation was cancelled") }
        }
    }

    private struct State {
        var running = 0
        var waiting: [@Sendable () -> Void] = []
    }

    package let width: Int
    private let state = Mutex(State())

    package init(width: Int = 4) { self.width = max(width, 1) }

    /// Runs `body` on a file thread and waits for it.
    ///
    /// Cancelling the caller sets the body's ``Cancellation``; the call still returns only when the body has, so that
    /// nothing touches the files afterwards.
    package func run<Result: Sendable>(
        _ body: @escaping @Sendable (Cancellation) throws -> Result
    ) async throws -> Result {
        let cancellation = Cancellation()
        return try await withTaskCancellationHandler {
            try await withCheckedThrowingContinuation { continuation in
                submit {
                    continuation.resume(with: Swift.Result { try body(cancellation) })
                }
            }
        } onCancel: {
            cancellation.cancel()
        }
    }

    /// Runs `body` on a file thread without waiting for it.
    package func submit(_ body: @escaping @Sendable () -> Void) {
        let starts = state.withLock { state -> Bool in
            guard state.running < width else {
                state.waiting.append(body)
                return false
            }
            state.running += 1
            return true
        }
        if starts { DispatchQueue.global(qos: .utility).async { self.drain(body) } }
    }

    private func drain(_ first: @escaping @Sendable () -> Void) {
        var next: (@Sendable () -> Void)? = first
        while let body = next {
            body()
            next = state.withLock { state in
                guard state.waiting.isEmpty else { return state.waiting.removeFirst() }
                state.running -= 1
                return nil
            }
        }
    }
}
