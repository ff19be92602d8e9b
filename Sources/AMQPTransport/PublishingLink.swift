import AMQPModel
import Logging
import Synchronization

/// The connection that publishes with confirms. Confined to the I/O thread.
///
/// A message stays in the ledger until the broker has confirmed it, over as many connections as that takes.
final class PublishingLink: Link {
    /// No further message is encoded while so much waits to be written.
    private static let outputLimit = 256 << 10
    /// How often the objects of a message are tried to be declared.
    private static let declarationAttempts = 3
    /// Confirmations that nobody waits for are read together with the next ones, after this time at the latest: each
    /// wake-up saved is one less per reply.
    private static let confirmDelay = Duration.milliseconds(4)
    private static let confirmBatch = 64
    private static let expectedBatch = 16
    /// Connection errors that one of our frames caused (AMQP 0-9-1, section 1.1: 501 to 506, 540).
    private static let ourFault: Set<UInt16> = [501, 502, 503, 504, 505, 506, 540]

    /// A channel is exchanged for another only when it has confirmed everything, or messages would be published twice.
    /// For so long nothing is published for that; if it was not enough, everything goes on, and it is tried again later.
    private static let renewalPause = Duration.milliseconds(500)
    /// From one attempt to exchange a channel to the next.
    private static let renewalInterval = Duration.seconds(2)

    private enum Channel {
        case closed, opening, open, closing
    }

    private struct Partial {
        let body: [UInt8]
        var offset: Int
    }

    /// Messages that wait for their objects to be declared.
    private struct Waiting {
        let job: Int
        let steps: [TopologyStep]
        var entries: [OutboundEntry]
    }

    private var channel = Channel.closed
    private var ledger: OutboundLedger
    private var assembler: MessageAssembler
    private var properties = PropertyEncoder()
    private var partial: Partial?
    private var declared: Set<TopologyStep> = []
    private var waiting: [Waiting] = []
    private var isBlocked = false
    /// When confirmations are read at the latest.
    private var readAt = Moment.never
    private var mustRead = false
    /// Until when nothing is published, so that the channel can be exchanged for another.
    private var renewAt = Moment.never
    private var renewNotBefore = Moment(nanoseconds: 0)
    private var finished: [OutboundLedger.Finished] = []

    init(core: SessionCore) {
        ledger = OutboundLedger(
            maximumAttempts: core.settings.publishAttempts,
            refusedAttempts: core.settings.refusedAttempts
        )
        assembler = MessageAssembler(maximumBytes: core.settings.maximumMessageBytes)
        super.init(role: .publishing, core: core)
    }

    /// Nothing waits to be sent or confirmed.
    var isDrained: Bool { ledger.isEmpty && waiting.isEmpty }

    func enqueue(_ entry: OutboundEntry) { ledger.enqueue(entry) }

    // MARK: - When to read

    /// Whether the next wait may pass over what the broker says here.
    private var canReadLater: Bool {
        readAt != .never && !mustRead && ledger.awaitedCount == 0 && ledger.unconfirmedCount < Self.confirmBatch
            && !isBlocked && channel == .open && declarations.isIdle && !isClosing && renewAt == .never
    }

    override var takesInput: Bool { !canReadLater }
    override var messagesWakeAt: Moment { min(canReadLater ? readAt : .never, ledger.resumeAt, renewAt) }

    /// Confirmations have probably come while others were busy, enough of them to be worth a look.
    var expectsInput: Bool { readAt != .never && ledger.unconfirmedCount >= Self.expectedBatch }

    override func willRead() {
        readAt = .never
        mustRead = false
    }

    // MARK: - Connection and channel

    override func opened(now: Moment) { openChannel() }

    private func openChannel() {
        channel = .opening
        generation += 1
        send(.channelOpen, channel: Self.messageChannel)
        send(.confirmSelect, channel: Self.messageChannel)
    }

    override func ended(code: UInt16?, reason: String) {
        channel = .closed
        renewAt = .never
        partial = nil
        willRead()
        assembler.reset()
        declared.removeAll()
        blockedChanged(nil)
        // Messages that waited for declarations came after the unconfirmed ones, so they are put back first.
        for waiting in waiting.reversed() { ledger.enqueueFirst(waiting.entries) }
        waiting.removeAll()
        if let code, Self.ourFault.contains(code) {
            ledger.channelClosed(reason, into: &finished)
        } else {
            ledger.connectionLost()
        }
        finishAll()
    }

    override func serviceMessages(now: Moment) -> Bool {
        if readAt <= now { mustRead = true }
        ledger.resumeRefused(now: now)
        return pump(now: now)
    }

    override func blockedChanged(_ reason: String?) {
        guard isBlocked != (reason != nil) else { return }
        isBlocked = reason != nil
        core.isBlocked.store(isBlocked, ordering: .relaxed)
        if let wire {
            SocketOptions.setBlocked(isBlocked, wire.descriptor, heartbeatSeconds: wire.heartbeatSeconds)
        }
        core.report(reason.map { .blocked(reason: $0) } ?? .unblocked)
    }

    // MARK: - Sending

    /// Encodes messages as far as the limits allow; `true` when only the size of the output stopped it.
    private func pump(now: Moment) -> Bool {
        guard let wire, channel == .open, !isClosing else { return false }
        let sizeLimit = wire.frameMaximum - OutputBuffer.frameOverhead
        continuePartial(sizeLimit)
        if isRenewing(now: now) { return output.count >= Self.outputLimit }
        var count: UInt64 = 0
        while !isBlocked, partial == nil, output.count < Self.outputLimit, let declaring = ledger.nextDeclaring {
            if !declaring.isEmpty, !declared.isSuperset(of: declaring) {
                waitForDeclaration(of: declaring, now: now)
                continue
            }
            guard let message = ledger.publishNext(limit: core.settings.unconfirmedLimit) else { break }
            encode(message, sizeLimit)
            count += 1
        }
        if count > 0 {
            core.counters.published.countUp(by: count)
            core.counters.lastPublish.store(now.nanoseconds, ordering: .relaxed)
            if readAt == .never { readAt = now + Self.confirmDelay }
        }
        finishAll()
        return output.count >= Self.outputLimit
    }

    /// Exchanges a channel that refuses a message again and again for a new one; nothing is published meanwhile.
    private func isRenewing(now: Moment) -> Bool {
        guard ledger.wantsNewChannel, !isBlocked, partial == nil, now >= renewNotBefore else {
            renewAt = .never
            return false
        }
        if renewAt == .never { renewAt = now + Self.renewalPause }
        guard ledger.unconfirmedCount == 0 || renewAt <= now else { return true }
        renewAt = .never
        renewNotBefore = now + Self.renewalInterval
        guard ledger.unconfirmedCount == 0 else { return false }
        channel = .closing
        core.logger.notice("messages refused again and again, trying another channel")
        send(.channelClose, channel: Self.messageChannel)
        return true
    }

    private func encode(_ message: OutboundMessage, _ sizeLimit: Int) {
        output.appendPublish(
            channel: Self.messageChannel,
            exchange: message.exchange,
            routingKey: message.routingKey,
            mandatory: message.mandatory
        )
        // Properties that do not fit a frame were refused before they came here.
        let encoded = properties.encode(message.properties, limit: sizeLimit - 12) ?? [0, 0]
        output.appendHeader(channel: Self.messageChannel, bodySize: message.body.count, properties: encoded)
        guard !message.body.isEmpty else { return }
        partial = Partial(body: message.body, offset: 0)
        continuePartial(sizeLimit)
    }

    private func continuePartial(_ sizeLimit: Int) {
        while let part = partial, output.count < Self.outputLimit {
            let end = min(part.offset + sizeLimit, part.body.count)
            output.appendBody(channel: Self.messageChannel, part.body, part.offset..<end)
            if end == part.body.count { partial = nil } else { partial?.offset = end }
        }
    }

    private func waitForDeclaration(of steps: [TopologyStep], now: Moment) {
        guard let entry = ledger.withdrawNext() else { return }
        if let position = waiting.firstIndex(where: { $0.steps == steps }) {
            waiting[position].entries.append(entry)
            return
        }
        let job = declarations.submit(steps.map { .declare($0) }, attempts: Self.declarationAttempts)
        waiting.append(Waiting(job: job, steps: steps, entries: [entry]))
        runDeclarations(now: now)
    }

    override func declarationsEnded(_ outcome: Declarations.Outcome) {
        switch outcome {
        case .finished(let job):
            guard let done = removeWaiting(job) else { return }
            declared.formUnion(done.steps)
            ledger.enqueueFirst(done.entries)
        case .failed(let job, let text):
            guard let gone = removeWaiting(job) else { return }
            for entry in gone.entries { finished.append((entry, .failed(text))) }
            finishAll()
        case .mismatch, .paused: break
        }
    }

    private func removeWaiting(_ job: Int) -> Waiting? {
        waiting.firstIndex { $0.job == job }.map { waiting.remove(at: $0) }
    }

    // MARK: - Answers

    override func receivedMessageFrame(
        _ frame: InboundFrame,
        _ wire: WireConnection,
        now: Moment
    ) throws(TransportError) {
        switch frame {
        case .acknowledged(let number, let multiple):
            ledger.confirm(number, multiple: multiple, into: &finished)
            finishAll()
        case .refused(let number, let multiple):
            ledger.refuse(number, multiple: multiple, now: now, into: &finished)
            finishAll()
        case .confirmSelectOk:
            channel = .open
            becomeReady()
        case .channelCloseOk:
            guard channel == .closing else { break }
            assembler.reset()
            ledger.connectionLost()
            openChannel()
        case .channelClose(_, let text):
            renewAt = .never
            send(.channelCloseOk, channel: Self.messageChannel)
            partial = nil
            assembler.reset()
            declared.removeAll()
            ledger.channelClosed(text, into: &finished)
            openChannel()
            finishAll()
        case .returned, .header, .body:
            try receivedReturn(frame, wire)
        default: break
        }
    }

    private func receivedReturn(_ frame: InboundFrame, _ wire: WireConnection) throws(TransportError) {
        do {
            var complete: MessageAssembler.Message?
            switch frame {
            case .returned(let code, let text, let exchange, let routingKey):
                try assembler.begin(.returned(code: code, text: text), exchange: exchange, routingKey: routingKey)
            case .header(let bodySize, let properties):
                complete = try assembler.header(bodySize: bodySize, properties: properties)
            case .body(let count):
                complete = try assembler.body(count: count, copy: wire.appendBody)
            default: break
            }
            guard let complete, case .returned(let code, let text) = complete.origin else { return }
            ledger.markReturned(
                exchange: complete.exchange,
                routingKey: complete.routingKey,
                body: complete.body,
                code: code,
                text: text
            )
        } catch {
            throw TransportError(.protocolViolation, "message frames out of order")
        }
    }

    /// Tells those who wait, after the ledger is consistent again: they may publish from within.
    private func finishAll() {
        while !finished.isEmpty {
            let batch = finished
            finished = []
            for (entry, outcome) in batch { core.finish(entry, outcome) }
        }
    }

    /// Gives up whatever was not confirmed, when the session ends.
    func failAll(_ reason: String) {
        for waiting in waiting { for entry in waiting.entries { finished.append((entry, .failed(reason))) } }
        waiting.removeAll()
        ledger.failAll(reason, into: &finished)
        finishAll()
    }
}
