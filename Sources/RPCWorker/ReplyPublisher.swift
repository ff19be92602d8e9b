import AMQPModel
import Journal
import Logging
import Metrics
import Synchronization

/// Where replies are published.
protocol ReplyOutlet: Sendable {
    /// Returns at once; the completion may run on any thread, also before this returns.
    func publish(_ message: OutboundMessage, completion: @escaping @Sendable (PublishOutcome) -> Void)
}

/// The journal entry that a reply is owed for.
struct OwedRecord: Sendable {
    let journal: Journal
    let entry: EntryID

    func delivered() { journal.replyDelivered(entry) }
}

/// Publishes replies until the broker has confirmed them.
///
/// A reply whose queue is not there is tried again every ``ReplySettings/retryPause`` for
/// ``ReplySettings/retryTimeout``, off the operation's task and without holding up others; then it is dropped and
/// counted, and the queue is taken for gone for a while. More than ``ReplySettings/waitingLimit`` waiting replies are
/// dropped at once.
final class ReplyPublisher: Sendable {
    /// An object, so that whoever waits for its outcome holds one reference instead of a message in parts.
    private final class Reply: Sendable {
        let message: OutboundMessage
        let owed: OwedRecord?
        let giveUpAt: ContinuousClock.Instant?

        init(message: OutboundMessage, owed: OwedRecord?, giveUpAt: ContinuousClock.Instant? = nil) {
            self.message = message
            self.owed = owed
            self.giveUpAt = giveUpAt
        }
    }

    private struct State {
        var obsolete: ObsoleteQueues
        var waiting = 0
        var closing = false
    }

    private let outlet: any ReplyOutlet
    private let timers: TimerQueue
    private let settings: ReplySettings
    private let metrics: WorkerMetrics
    private let logger: Logger
    private let state: Mutex<State>

    init(
        outlet: any ReplyOutlet,
        timers: TimerQueue,
        settings: ReplySettings,
        metrics: WorkerMetrics,
        logger: Logger
    ) {
        self.outlet = outlet
        self.timers = timers
        self.settings = settings
        self.metrics = metrics
        self.logger = logger
        state = Mutex(
            State(obsolete: ObsoleteQueues(limit: settings.obsoleteLimit, lifetime: settings.obsoleteFor))
        )
    }

    /// Replies that wait for their next attempt.
    var waiting: Int { state.withLock { $0.waiting } }

    /// - Parameter owed: told when the reply is confirmed or given up.
    func send(_ message: OutboundMessage, owed: OwedRecord? = nil) {
        let isObsolete = state.withLock { state in
            !state.obsolete.isEmpty && state.obsolete.contains(message.routingKey, now: .now)
        }
        let reply = Reply(message: message, owed: owed)
        if isObsolete {
            drop(reply, reason: "its queue is gone")
        } else {
            attempt(reply)
        }
    }

    /// Publishes once, for heartbeats.
    func sendOnce(_ message: OutboundMessage, completion: @escaping @Sendable (PublishOutcome) -> Void) {
        outlet.publish(message, completion: completion)
    }

    /// Replies that fail from here on stay in their journals for the next start.
    func close() { state.withLock { $0.closing = true } }

    private func attempt(_ reply: Reply) {
        outlet.publish(reply.message) { [self] outcome in
            switch outcome {
            case .confirmed: reply.owed?.delivered()
            case .returned: retry(reply, isMissing: true)
            case .failed: retry(reply, isMissing: false)
            }
        }
    }

    private enum Next { case retry, giveUp, full, leave }

    private func retry(_ reply: Reply, isMissing: Bool) {
        let now = ContinuousClock.now
        let giveUpAt = reply.giveUpAt ?? now + settings.retryTimeout
        let (next, waiting) = state.withLock { state -> (Next, Int) in
            if state.closing { return (.leave, state.waiting) }
            if now >= giveUpAt {
                if isMissing { state.obsolete.insert(reply.message.routingKey, now: now) }
                return (.giveUp, state.waiting)
            }
            if state.waiting >= settings.waitingLimit { return (.full, state.waiting) }
            state.waiting += 1
            return (.retry, state.waiting)
        }
        switch next {
        case .retry:
            metrics.repliesOwed.set(waiting)
            let repetition = Reply(message: reply.message, owed: reply.owed, giveUpAt: giveUpAt)
            timers.schedule(after: settings.retryPause) { [self] in again(repetition) }
        case .giveUp: drop(reply, reason: isMissing ? "its queue stayed away" : "it could not be published")
        case .full: drop(reply, reason: "too many replies wait for their queues")
        case .leave: metrics.repliesLeft.increment()
        }
    }

    private func again(_ reply: Reply) {
        let waiting = state.withLock { state in
            state.waiting -= 1
            return state.waiting
        }
        metrics.repliesOwed.set(waiting)
        attempt(reply)
    }

    private func drop(_ reply: Reply, reason: String) {
        metrics.repliesDropped.increment()
        logger.notice(
            "reply dropped",
            metadata: [LogKey.queue: "\(reply.message.routingKey)", LogKey.reason: "\(reason)"]
        )
        reply.owed?.delivered()
    }
}
