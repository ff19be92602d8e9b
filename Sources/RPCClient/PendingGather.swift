import AMQPModel
import OsloMessaging
import Support
import Synchronization

/// A request to all hosts that collects their answers.
final class PendingGather: PendingRequest {
    private let subject: String
    private let progress: Mutex<GatherProgress>
    private let end = OneShot<Void>()
    private let problem: @Sendable () -> String?

    init(subject: String, progress: GatherProgress, problem: @escaping @Sendable () -> String?) {
        self.subject = subject
        self.progress = Mutex(progress)
        self.problem = problem
    }

    func received(_ reply: RPCReply) {
        if progress.withLock({ $0.received(reply, now: .now) }) { end.resolve(.success(())) }
    }

    func published(_ outcome: PublishOutcome) {
        guard let error = RPCClientError(outcome, subject: subject) else {
            return progress.withLock { $0.sent(now: .now) }
        }
        fail(error)
    }

    func fail(_ error: RPCClientError) { end.resolve(.failure(error)) }

    /// All that was answered when there was enough, time was up, or no more came.
    func replies() async throws -> [GatheredReply] {
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { await self.watchClock() }
            defer { group.cancelAll() }
            try await end.value()
        }
        return progress.withLock { $0.replies }
    }

    private func watchClock() async {
        while true {
            let moment = progress.withLock { $0.expiresAt }
            do { try await Task.sleep(until: moment, clock: .continuous) } catch { return }
            let (isOver, wasSent) = progress.withLock { ($0.isOver(now: .now), $0.wasSent) }
            guard isOver else { continue }
            if wasSent {
                end.resolve(.success(()))
            } else {
                let because = problem().map { " (\($0))" } ?? ""
                fail(RPCClientError(.unreachable, "\(subject) could not be sent in time\(because)"))
            }
            return
        }
    }
}
