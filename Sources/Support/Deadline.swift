/// Thrown by ``withDeadline(_:isolation:_:)`` when the time was up before the body ended.
package struct DeadlineExceeded: Error, CustomStringConvertible {
    package let limit: Duration

    package init(limit: Duration) { self.limit = limit }

    package var description: String { "no result within \(limit)" }
}

/// Runs `body` for at most `limit`; when the time is up the body is cancelled and, once it has returned,
/// ``DeadlineExceeded`` is thrown. Cancellation from outside stays a `CancellationError`.
@concurrent
package func withDeadline<Result: Sendable>(
    _ limit: Duration,
    _ body: @escaping @Sendable () async throws -> Result
) async throws -> Result {
    try await withThrowingTaskGroup(of: Result?.self) { group in
        group.addTask { try await body() }
        group.addTask {
            try await Task.sleep(for: limit)
            return nil
        }
        defer { group.cancelAll() }
        guard let first = try await group.next(), let result = first else {
            try Task.checkCancellation()
            throw DeadlineExceeded(limit: limit)
        }
        return result
    }
}
