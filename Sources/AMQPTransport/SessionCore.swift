import AMQPModel
import Logging
import Synchronization

/// What the I/O thread shares with everybody else: the inbox and its bell, the counters, the state of the connections.
final class SessionCore: Sendable {
    enum Command: Sendable {
        case declare([TopologyStep], waiter: CheckedContinuation<Void, any Error>?)
        case remove([TopologyStep], deletingQueues: [String])
        case stopConsuming(CheckedContinuation<Void, Never>)
        case awaitReady(id: UInt64, CheckedContinuation<Void, any Error>)
        case cancelAwaitReady(id: UInt64)
        case close(draining: Duration, deletesQueues: Bool, CheckedContinuation<Void, Never>)
        case checkIn(CheckedContinuation<Void, Never>)
        case stop
        case connected(ConnectionRole, WireConnection)
        case connectFailed(ConnectionRole, TransportError)
    }

    struct Inbox {
        var publishes: [OutboundEntry] = []
        var settlements: [(DeliveryReceipt, Settlement)] = []
        var commands: [Command] = []
        /// The bell has been rung and not been heard yet.
        var isSignalled = false
        var isClosed = false
    }

    let options: ConnectionOptions
    let settings: SessionSettings
    let handler: any DeliveryHandler
    let logger: Logger
    let counters = SessionCounters()
    private let failures = Mutex(RepeatedFailures())
    private let inbox = Mutex(Inbox())
    private let connections: Mutex<[ConnectionRole: SessionStatus.Connection]>
    let isBlocked = Atomic<Bool>(false)
    let poller = Mutex<Poller?>(nil)

    init(options: ConnectionOptions, settings: SessionSettings, handler: any DeliveryHandler, logger: Logger) {
        self.options = options
        self.settings = settings
        self.handler = handler
        self.logger = logger
        let idle = SessionStatus.Connection(state: .idle, address: nil, generation: 0, lastError: nil)
        connections = Mutex([.consuming: idle, .publishing: idle])
    }

    // MARK: - Inbox

    /// Puts something into the inbox and wakes the I/O thread if it may sleep; `false` when the session is closed.
    func post(_ change: (inout Inbox) -> Void) -> Bool {
        let (accepted, ring) = inbox.withLock { inbox -> (Bool, Bool) in
            guard !inbox.isClosed else { return (false, false) }
            change(&inbox)
            defer { inbox.isSignalled = true }
            return (true, !inbox.isSignalled)
        }
        if ring { poller.withLock { $0 }?.wake() }
        return accepted
    }

    /// Takes what came since the last time; on the I/O thread.
    func takeInbox() -> Inbox {
        inbox.withLock { inbox in
            let taken = inbox
            inbox = Inbox()
            inbox.isClosed = taken.isClosed
            return taken
        }
    }

    /// Nothing is accepted from here on; returns what came before.
    func closeInbox() -> Inbox {
        inbox.withLock { inbox in
            let taken = inbox
            inbox = Inbox()
            inbox.isClosed = true
            return taken
        }
    }

    // MARK: - State for observers

    func update(_ role: ConnectionRole, _ change: (inout SessionStatus.Connection) -> Void) {
        connections.withLock { connections in
            if var connection = connections[role] {
                change(&connection)
                connections[role] = connection
            }
        }
    }

    func connection(_ role: ConnectionRole) -> SessionStatus.Connection {
        connections.withLock { $0[role] }
            ?? SessionStatus.Connection(state: .idle, address: nil, generation: 0, lastError: nil)
    }

    // MARK: - Outcomes

    /// Ends a message's way: counts it and tells whoever waits.
    func finish(_ entry: OutboundEntry, _ outcome: PublishOutcome) {
        counters.outboundMessages.subtract(1, ordering: .relaxed)
        counters.outboundBytes.subtract(entry.message.body.count, ordering: .relaxed)
        switch outcome {
        case .confirmed: counters.confirmed.countUp()
        case .returned: counters.returned.countUp()
        case .failed(let reason):
            counters.failed.countUp()
            logger.warning(
                "message not published",
                metadata: [
                    LogKey.exchange: "\(entry.message.exchange)", LogKey.routingKey: "\(entry.message.routingKey)",
                    LogKey.reason: "\(reason)",
                ]
            )
        }
        entry.completion?(outcome)
    }

    /// Tells the log and the handler.
    func report(_ event: SessionEvent) {
        switch event {
        case .ready(let role, let address):
            failures.withLock { $0.connected(role) }
            logger.info(
                "broker connection ready",
                metadata: [LogKey.role: "\(role.rawValue)", LogKey.address: "\(address)"]
            )
        case .lost(let role, let reason):
            logger.warning(
                "broker connection lost",
                metadata: [LogKey.role: "\(role.rawValue)", LogKey.reason: "\(reason)"]
            )
        case .connectFailed(let role, let address, let reason, let permanent):
            let isNews = failures.withLock { $0.isNews(role, address, reason, at: .now) }
            logger.log(
                level: isNews ? (permanent ? .error : .warning) : .debug,
                "cannot connect to the broker",
                metadata: [
                    LogKey.role: "\(role.rawValue)", LogKey.address: "\(address)", LogKey.reason: "\(reason)",
                ]
            )
        case .topologyMismatch(let step, let text):
            logger.error(
                "an object exists on the broker with other properties than configured; using it as it is",
                metadata: [LogKey.step: "\(step.label)", LogKey.reason: "\(text)"]
            )
        case .topologyFailed(let step, let text):
            logger.error(
                "declaration failed, trying again",
                metadata: [LogKey.step: "\(step?.label ?? "-")", LogKey.reason: "\(text)"]
            )
        case .consumerCancelled(let queue):
            logger.warning("consumer cancelled by the broker", metadata: [LogKey.queue: "\(queue)"])
        case .blocked(let reason):
            logger.warning("the broker takes no messages", metadata: [LogKey.reason: "\(reason)"])
        case .unblocked: logger.info("the broker takes messages again")
        case .throttled(let on): logger.notice("taking deliveries \(on ? "paused" : "resumed")")
        }
        handler.sessionChanged(event)
    }
}

/// Metadata keys of this library's log lines.
enum LogKey {
    static let role = "role"
    static let address = "address"
    static let reason = "reason"
    static let step = "step"
    static let queue = "queue"
    static let exchange = "exchange"
    static let routingKey = "routing_key"
}

extension TopologyStep {
    /// The object as an operator knows it.
    fileprivate var label: String {
        switch self {
        case .exchange(let exchange): "exchange \(exchange.name)"
        case .queue(let queue): "queue \(queue.name)"
        case .binding(let binding): "binding of queue \(binding.queue) to exchange \(binding.exchange)"
        case .consumer(let consumer): "consumer of queue \(consumer.queue)"
        }
    }
}
