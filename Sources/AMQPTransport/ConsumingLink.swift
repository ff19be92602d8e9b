import AMQPModel
import Support
import Synchronization

/// The connection that consumes, acknowledges and keeps the topology in place. Confined to the I/O thread.
final class ConsumingLink: Link {
    private enum Channel {
        case closed, opening, open
    }

    private enum Consumer {
        case asked, consuming
    }

    /// A queue that vanishes again right after it was brought back is not brought back at once.
    private static let cancelPause = Duration.milliseconds(500)
    /// Acknowledgements are held back for so long, or until there are so many, to go out as one: nobody waits for
    /// them, and each write costs as much as a whole reply. A small prefetch window is refilled sooner.
    private static let acknowledgeDelay = Duration.milliseconds(2)
    private static let acknowledgeBatch = 32

    private var topology: Topology
    private var channel = Channel.closed
    private var consumers: [String: Consumer] = [:]
    private var askedConsumers = 0
    private var acks = AckLedger()
    private var acknowledgeAt = Moment.never
    private let acknowledgeBatch: Int
    private var assembler: MessageAssembler
    private var reopenAt = Moment.never
    private var reopenPauses = Backoff(initial: .milliseconds(100), maximum: .seconds(5))
    private var cancelledQueues: Set<String> = []
    private var recoverAt = Moment.never
    private var lastRecovery: Moment?
    private var declareWaiters: [(revision: Int, continuation: CheckedContinuation<Void, any Error>)] = []
    private var stopWaiters: [CheckedContinuation<Void, Never>] = []
    private var isStopped = false
    private var cancelsUnderway = 0
    /// No deliveries are taken because too much waits to be published.
    var isThrottled = false

    init(core: SessionCore) {
        topology = Topology(steps: core.settings.topology)
        let prefetch = Int(core.settings.prefetch)
        acknowledgeBatch = prefetch == 0 ? Self.acknowledgeBatch : min(Self.acknowledgeBatch, max(1, prefetch / 4))
        assembler = MessageAssembler(maximumBytes: core.settings.maximumMessageBytes)
        super.init(role: .consuming, core: core)
    }

    override var takesInput: Bool { !isThrottled }
    override var isDeaf: Bool { isThrottled }

    // MARK: - Connection and channel

    override func opened(now: Moment) { openChannel() }

    private func openChannel() {
        channel = .opening
        reopenAt = .never
        generation += 1
        acks = AckLedger()
        acknowledgeAt = .never
        assembler.reset()
        consumers.removeAll()
        askedConsumers = 0
        cancelsUnderway = 0
        cancelledQueues.removeAll()
        send(.channelOpen, channel: Self.messageChannel)
        if core.settings.prefetch > 0 {
            send(.basicQos(prefetch: core.settings.prefetch), channel: Self.messageChannel)
        }
        if !isStopped { submit(topology.steps) }
    }

    private func submit(_ steps: [TopologyStep]) {
        _ = declarations.submit(steps.map { .declare($0) })
    }

    override func ended(code: UInt16?, reason: String) {
        channel = .closed
        reopenAt = .never
        recoverAt = .never
        acks = AckLedger()
        acknowledgeAt = .never
        consumers.removeAll()
        askedConsumers = 0
        cancelsUnderway = 0
        assembler.reset()
        if isStopped { resumeStopWaiters() }
    }

    private func channelClosed(code: UInt16, text: String, now: Moment) {
        send(.channelCloseOk, channel: Self.messageChannel)
        channel = .closed
        generation += 1
        acks = AckLedger()
        acknowledgeAt = .never
        reopenAt = now + reopenPauses.next()
        core.report(.topologyFailed(nil, text: text))
    }

    override var messagesWakeAt: Moment { min(reopenAt, recoverAt, acknowledgeAt) }

    override func serviceMessages(now: Moment) -> Bool {
        if reopenAt <= now { openChannel() }
        if recoverAt <= now { recoverCancelled(now: now) }
        let unsent = acks.unsent
        if unsent >= acknowledgeBatch || acknowledgeAt <= now || !output.isEmpty || isStopped {
            flushAcknowledgements()
        } else if unsent > 0, acknowledgeAt == .never {
            acknowledgeAt = now + Self.acknowledgeDelay
        }
        return false
    }

    private func flushAcknowledgements() {
        acknowledgeAt = .never
        acks.flush { tag, multiple in
            output.appendAcknowledge(channel: Self.messageChannel, tag: tag, multiple: multiple)
        }
    }

    // MARK: - Frames

    override func receivedMessageFrame(
        _ frame: InboundFrame,
        _ wire: WireConnection,
        now: Moment
    ) throws(TransportError) {
        do {
            switch frame {
            case .deliver(let consumerTag, let tag, let redelivered, let exchange, let routingKey):
                acks.delivered(tag)
                try assembler.begin(
                    .delivery(tag: tag, consumerTag: consumerTag, redelivered: redelivered),
                    exchange: exchange,
                    routingKey: routingKey
                )
            case .header(let bodySize, let properties):
                if let message = try assembler.header(bodySize: bodySize, properties: properties) { deliver(message) }
            case .body(let count):
                if let message = try assembler.body(count: count, copy: wire.appendBody) { deliver(message) }
            default:
                receivedMethod(frame, now: now)
            }
        } catch {
            throw TransportError(.protocolViolation, "message frames out of order")
        }
    }

    private func receivedMethod(_ frame: InboundFrame, now: Moment) {
        switch frame {
        case .channelOpenOk:
            channel = .open
            askConsumers()
            settleTopology()
        case .channelClose(let code, let text): channelClosed(code: code, text: text, now: now)
        case .consumeOk(let tag):
            if consumers[tag] == .asked {
                consumers[tag] = .consuming
                askedConsumers -= 1
            }
            settleTopology()
        case .cancel(let tag): consumerCancelled(tag, now: now)
        case .cancelOk(let tag):
            consumers[tag] = nil
            cancelsUnderway -= 1
            if isStopped, cancelsUnderway <= 0 { resumeStopWaiters() }
        default: break
        }
    }

    private func deliver(_ message: MessageAssembler.Message) {
        guard case .delivery(let tag, let consumerTag, let redelivered) = message.origin else { return }
        core.counters.deliveries.countUp()
        if isStopped { return apply(.reject(requeue: true), tag: tag) }
        if message.isDiscarded { core.counters.oversized.countUp() }
        let delivery = Delivery(
            consumerTag: consumerTag,
            receipt: DeliveryReceipt(deliveryTag: tag, generation: generation),
            redelivered: redelivered,
            exchange: message.exchange,
            routingKey: message.routingKey,
            properties: message.properties,
            body: message.body,
            discardedBytes: message.isDiscarded ? message.bodySize : 0
        )
        if let settlement = core.handler.received(delivery) { apply(settlement, tag: tag) }
    }

    // MARK: - Settling

    func settle(_ receipt: DeliveryReceipt, _ settlement: Settlement) {
        guard receipt.generation == generation else { return }
        apply(settlement, tag: receipt.deliveryTag)
    }

    private func apply(_ settlement: Settlement, tag: UInt64) {
        switch settlement {
        case .acknowledge: acks.acknowledge(tag)
        case .reject(let requeue):
            if acks.reject(tag) { output.appendReject(channel: Self.messageChannel, tag: tag, requeue: requeue) }
        }
    }

    // MARK: - Topology

    override func declarationsEnded(_ outcome: Declarations.Outcome) {
        guard case .finished = outcome else { return }
        askConsumers()
        settleTopology()
    }

    private var isDeclared: Bool { channel == .open && declarations.isIdle && recoverAt == .never && !isStopped }

    /// Starts the consumers whose queues are declared. Looks at all there are, so only where there can be one to start:
    /// with ten thousand hosts there are sixty thousand, and looking at all for the answer of each takes minutes, in
    /// which no heartbeat goes out.
    private func askConsumers() {
        guard isDeclared else { return }
        for consumer in topology.consumers where consumers[consumer.tag] == nil {
            consumers[consumer.tag] = .asked
            askedConsumers += 1
            send(.basicConsume(consumer), channel: Self.messageChannel)
        }
    }

    /// When all consume, everything asked for is in place.
    private func settleTopology() {
        guard isDeclared, askedConsumers == 0 else { return }
        reopenPauses.reset()
        becomeReady()
        let waiters = declareWaiters
        declareWaiters = []
        for waiter in waiters { waiter.continuation.resume() }
    }

    func declare(_ steps: [TopologyStep], waiter: CheckedContinuation<Void, any Error>?) {
        topology.add(steps)
        if let waiter { declareWaiters.append((topology.revision, waiter)) }
        if wire != nil, channel != .closed, !isStopped { submit(steps) }
    }

    /// Forgets steps, cancels their consumers and deletes queues.
    func remove(_ steps: [TopologyStep], deletingQueues queues: [String]) {
        topology.remove(steps)
        guard wire != nil, channel == .open else { return }
        let kept = Set(topology.consumers.map(\.tag))
        for case .consumer(let consumer) in steps where consumers[consumer.tag] != nil && !kept.contains(consumer.tag) {
            cancel(consumer.tag)
        }
        deleteQueues(queues)
    }

    /// Has queues deleted, once at most: an orderly end must not hang on them.
    func deleteQueues(_ queues: [String]) {
        guard wire != nil, !queues.isEmpty else { return }
        _ = declarations.submit(queues.map { .deleteQueue($0) }, attempts: 1)
    }

    private func cancel(_ tag: String) {
        if consumers[tag] == .asked { askedConsumers -= 1 }
        consumers[tag] = .consuming
        cancelsUnderway += 1
        send(.basicCancel(tag: tag), channel: Self.messageChannel)
    }

    private func consumerCancelled(_ tag: String, now: Moment) {
        if consumers[tag] == .asked { askedConsumers -= 1 }
        consumers[tag] = nil
        guard !isStopped, let queue = topology.queue(ofConsumer: tag) else { return }
        core.counters.consumersCancelled.countUp()
        core.report(.consumerCancelled(queue: queue))
        cancelledQueues.insert(queue)
        guard recoverAt == .never else { return }
        let recent = lastRecovery.map { $0 + Self.cancelPause > now } ?? false
        recoverAt = recent ? now + Self.cancelPause : now
    }

    private func recoverCancelled(now: Moment) {
        recoverAt = .never
        lastRecovery = now
        guard channel != .closed, !isStopped, !cancelledQueues.isEmpty else { return }
        submit(topology.steps(forQueues: cancelledQueues))
        cancelledQueues.removeAll()
        runDeclarations(now: now)
    }

    // MARK: - Stopping

    /// Cancels all consumers; what still comes in is handed back to its queue.
    func stopConsuming(_ waiter: CheckedContinuation<Void, Never>?) {
        if let waiter { stopWaiters.append(waiter) }
        if !isStopped {
            isStopped = true
            if channel == .open { for tag in consumers.keys.sorted() { cancel(tag) } }
        }
        if cancelsUnderway <= 0 { resumeStopWaiters() }
    }

    private func resumeStopWaiters() {
        let waiters = stopWaiters
        stopWaiters = []
        for waiter in waiters { waiter.resume() }
    }

    /// Lets go of everybody who waits, when the session ends.
    func releaseWaiters() {
        resumeStopWaiters()
        let waiters = declareWaiters
        declareWaiters = []
        for waiter in waiters { waiter.continuation.resume(throwing: TransportError(.closed, "session closed")) }
    }
}
