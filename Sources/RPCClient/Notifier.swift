package import AMQPModel
import AMQPTransport
package import Logging
import Metrics
package import OsloMessaging
package import Support
import Synchronization

/// Sends notifications, and never keeps anybody waiting (oslo.messaging wire, section 12).
///
/// Its session is its own: notifications may go to another broker, and a broker that takes none must not hold up
/// replies. Queues are declared before the first notification of a kind, so that it is kept when nobody listens yet.
package final class Notifier: Sendable {
    private struct Outgoing: Sendable {
        let message: OutboundMessage
        let steps: [TopologyStep]
    }

    /// How many notifications went which way.
    package struct Counts: Sendable, Hashable {
        package var sent: UInt64 = 0
        /// Refused because too many waited, given up after the retries, unencodable, or refused by the broker.
        package var dropped: UInt64 = 0
    }

    private struct State {
        var queue: NotificationQueue<Outgoing>
        var counts = Counts()
    }

    /// Hands the session's events to the notifier, which the session is part of.
    private final class Events: DeliveryHandler {
        let notifier = Mutex<(@Sendable (SessionEvent) -> Void)?>(nil)
        func received(_ delivery: Delivery) -> Settlement? { .acknowledge }
        func sessionChanged(_ event: SessionEvent) { notifier.withLock { $0 }?(event) }
    }

    private let settings: NotifierSettings
    private let session: BrokerSession
    private let events = Events()
    private let state: Mutex<State>
    private let logger: Logger
    private let sentCounter = Counter(label: "vmops_notifications_sent_total")
    private let droppedCounter = Counter(label: "vmops_notifications_dropped_total")

    package init(connection: ConnectionOptions, settings: NotifierSettings, logger: Logger) {
        self.settings = settings
        self.logger = logger
        let attempts = settings.retry < 0 ? nil : (min(settings.retry, 1 << 20) + 1) * connection.addresses.count
        state = Mutex(State(queue: NotificationQueue(capacity: settings.capacity, failures: attempts)))
        session = BrokerSession(
            options: connection,
            settings: SessionSettings(
                // The bound is the queue's.
                outboundMessages: max(1, settings.capacity),
                publishAttempts: settings.retry < 0 ? 3 : min(settings.retry, 1 << 20) + 1,
                refusedAttempts: settings.retry < 0 ? 150 : min(settings.retry, 1 << 20) + 1
            ),
            handler: events,
            logger: logger
        )
    }

    /// Connects and sends until ``close()`` or cancellation.
    ///
    /// - Throws: `CancellationError`; `TransportError` when the session cannot run at all.
    package func run() async throws {
        events.notifier.withLock { $0 = { [weak self] in self?.changed($0) } }
        try await session.run()
    }

    /// Sends what waits, for up to ``NotifierSettings/drainTimeout``, and ends ``run()``.
    package func close() async {
        for outgoing in state.withLock({ $0.queue.takeAll() }) { publish(outgoing) }
        await session.close(draining: settings.drainTimeout)
    }

    /// Sends a notification to every topic in every form. Returns at once, from any thread.
    ///
    /// When ``NotifierSettings/capacity`` messages wait it is dropped and counted.
    /// - Parameters:
    ///   - priority: also the end of the routing key.
    ///   - eventType: dotted, like `instance.power_on.start`.
    ///   - context: of the request it belongs to; what must not travel is taken out.
    ///   - publisherID: `service.host` by convention.
    ///   - topics: other than those of the settings.
    package func notify(
        _ priority: Notification.Priority,
        _ eventType: String,
        payload: JSONValue,
        context: JSONObject = [:],
        publisherID: String?,
        topics: [String]? = nil
    ) {
        let topics = topics ?? settings.topics
        let time = WireTime.now()
        let notification = Notification(
            messageID: UniqueID.makeDashed(),
            publisherID: publisherID,
            eventType: eventType,
            priority: priority,
            payload: payload,
            timestamp: time.notification,
            uniqueID: UniqueID.make(),
            context: Notification.sanitized(context: context, at: time)
        )
        for driver in settings.drivers {
            let body: [UInt8]
            do {
                body = try notification.encode(driver: driver)
            } catch {
                drop(topics.count, "\(eventType) cannot be written as JSON: \(error)")
                continue
            }
            for topic in topics { admit(body, topic, priority) }
        }
    }

    package var counts: Counts { state.withLock { $0.counts } }
    /// How many wait to be sent or confirmed.
    package var waiting: Int { state.withLock { $0.queue.count } }

    private func admit(_ body: [UInt8], _ topic: String, _ priority: Notification.Priority) {
        let outgoing = Outgoing(
            message: .notification(body, exchange: settings.exchange, topic: topic, priority: priority),
            steps: RPCTopology.notifier(
                exchange: settings.exchange,
                topic: topic,
                priority: priority,
                options: settings.topology
            )
        )
        switch state.withLock({ $0.queue.admit(outgoing) }) {
        case .send: publish(outgoing)
        case .wait: break
        case .refused: drop(1, "\(settings.capacity) wait already")
        }
    }

    private func publish(_ outgoing: Outgoing) {
        session.publish(outgoing.message, declaring: outgoing.steps) { [self] outcome in
            state.withLock { $0.queue.ended() }
            if case .failed(let reason) = outcome { return drop(1, reason) }
            state.withLock { $0.counts.sent += 1 }
            sentCounter.increment()
        }
    }

    private func changed(_ event: SessionEvent) {
        switch event {
        case .ready(.publishing, _):
            for outgoing in state.withLock({ $0.queue.connected() }) { publish(outgoing) }
        case .lost(.publishing, _): state.withLock { $0.queue.disconnected() }
        case .connectFailed(.publishing, let address, let reason, _):
            let dropped = state.withLock { $0.queue.connectFailed() }
            if dropped > 0 { drop(dropped, "broker at \(address): \(reason)") }
        default: break
        }
    }

    private func drop(_ count: Int, _ reason: String) {
        state.withLock { $0.counts.dropped += UInt64(count) }
        droppedCounter.increment(by: Int64(count))
        logger.warning("notifications dropped", metadata: ["count": "\(count)", "reason": "\(reason)"])
    }
}
