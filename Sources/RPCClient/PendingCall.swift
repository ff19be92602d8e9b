import AMQPModel
import OsloMessaging
import Support
import Synchronization

/// What waits for messages of one `_msg_id`. Both functions come from the session's thread and return at once.
protocol PendingRequest: AnyObject, Sendable {
    func received(_ reply: RPCReply)
    func published(_ outcome: PublishOutcome)
    func fail(_ error: RPCClientError)
}

/// A call that waits for its answer: its progress behind a lock, its end in a one-shot.
final class PendingCall: PendingRequest {
    /// Method and target, for messages to people.
    private let subject: String
    private let progress: Mutex<CallProgress>
    private let end = OneShot<JSONValue>()
    private let problem: @Sendable () -> String?

    /// - Parameter problem: what is wrong with the connection now, if anything.
    init(subject: String, progress: CallProgress, problem: @escaping @Sendable () -> String?) {
        self.subject = subject
        self.progress = Mutex(progress)
        self.problem = problem
    }

    func received(_ reply: RPCReply) {
        switch progress.withLock({ $0.received(reply, now: .now) }) {
        case .success(let value)?: end.resolve(.success(value))
        case .failure(let failure)?: end.resolve(.failure(failure))
        case nil: break
        }
    }

    func published(_ outcome: PublishOutcome) {
        guard let error = RPCClientError(outcome, subject: subject) else {
            return progress.withLock { $0.sent(now: .now) }
        }
        fail(error)
    }

    func fail(_ error: RPCClientError) { end.resolve(.failure(error)) }

    /// Waits for the end of the call; when this task is cancelled, not any longer.
    func value() async throws -> JSONValue {
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { await self.watchClocks() }
            defer { group.cancelAll() }
            return try await end.value()
        }
    }

    private func watchClocks() async {
        while true {
            let moment = progress.withLock { $0.expiresAt }
            do { try await Task.sleep(until: moment, clock: .continuous) } catch { return }
            guard let expiry = progress.withLock({ $0.expiry(now: .now) }) else { continue }
            return fail(error(expiry))
        }
    }

    private func error(_ expiry: CallProgress.Expiry) -> RPCClientError {
        let (timeout, monitor) = progress.withLock { ($0.timeout, $0.monitorTimeout) }
        let because = problem().map { " (\($0))" } ?? ""
        return switch expiry {
        case .unsent:
            RPCClientError(.unreachable, "\(subject) could not be sent within \(timeout.inSeconds)\(because)")
        case .timeout:
            RPCClientError(.timeout, "no answer to \(subject) within \(timeout.inSeconds)\(because)")
        case .silence:
            RPCClientError(
                .silence,
                "no sign of life from \(subject) for \((monitor ?? timeout).inSeconds)\(because)"
            )
        }
    }
}

extension RPCClientError {
    /// `nil` when the broker has the message.
    init?(_ outcome: PublishOutcome, subject: String) {
        switch outcome {
        case .confirmed: return nil
        case .returned:
            self.init(.undeliverable, "\(subject) is undeliverable: no such queue at the broker")
        case .failed(let reason):
            self.init(.deliveryFailed, "\(subject) could not be delivered: \(reason)")
        }
    }
}

extension Duration {
    /// `5 s` or `0.25 s`, for people.
    var inSeconds: String {
        let (seconds, attoseconds) = components
        guard attoseconds != 0 else { return "\(seconds) s" }
        let thousandths = Double(attoseconds / 1_000_000_000_000_000) / 1000
        return "\(Double(seconds) + thousandths) s"
    }
}
