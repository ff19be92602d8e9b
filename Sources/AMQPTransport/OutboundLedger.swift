import AMQPModel
import DequeModule

/// A message on its way to the broker, with whoever waits for its outcome. An object, because it is moved between
/// queues several times and a message has many parts to copy.
final class OutboundEntry: Sendable {
    let message: OutboundMessage
    let declaring: [TopologyStep]
    /// Somebody waits for the outcome and does nothing else meanwhile.
    let isAwaited: Bool
    let completion: (@Sendable (PublishOutcome) -> Void)?

    init(
        message: OutboundMessage,
        declaring: [TopologyStep] = [],
        isAwaited: Bool = false,
        completion: (@Sendable (PublishOutcome) -> Void)? = nil
    ) {
        self.message = message
        self.declaring = declaring
        self.isAwaited = isAwaited
        self.completion = completion
    }
}

/// Messages queued for publishing and published but unconfirmed, in order (confirms: publishes of a channel count
/// from 1; an answer may stand for all before it).
///
/// Whatever is unconfirmed when the connection ends is sent again first on the next one, so a message is published at
/// least once and in order; receivers recognise repetitions by the message's own identifier.
struct OutboundLedger {
    /// A message that is done with, and how it ended.
    typealias Finished = (entry: OutboundEntry, outcome: PublishOutcome)

    private struct Slot {
        /// `nil` once confirmed or given up; the slot stays until those before it are done with, too.
        var entry: OutboundEntry?
        /// How often the broker refused it so far.
        var refusals = 0
        /// Of these, how often on the channel of that number.
        var refusalsHere = (channel: 0, count: 0)
        /// How often the broker closed the channel over it so far.
        var closes = 0
    }

    /// Pause after the first refusal of a message; after each further one twice as long, up to the other.
    private static let firstPause = Duration.milliseconds(50)
    private static let longestPause = Duration.seconds(1)

    /// So often one channel refuses a message before another one is tried.
    private static let refusalsPerChannel = 5

    private let maximumAttempts: Int
    private let refusedAttempts: Int
    private var queued: Deque<Slot> = []
    private var unconfirmed: Deque<Slot> = []
    /// Refused messages, which are queued again when their pause is over.
    private var refused: [(slot: Slot, until: Moment)] = []
    /// Outcomes of messages that were sent back and whose confirmations are still to come, by publish number.
    private var returned: [UInt64: PublishOutcome] = [:]
    /// Publish number of `unconfirmed.first` on the present channel.
    private var firstNumber: UInt64 = 1
    private(set) var unconfirmedCount = 0
    /// Unconfirmed messages whose outcome somebody waits for.
    private(set) var awaitedCount = 0
    /// Messages to be sent one by one, because one of them made the broker close the channel and nobody knows which.
    private var suspects = 0
    private var channelNumber = 0
    /// The channel refuses a message so often that it may be the channel's fault: a quorum queue's first message on a
    /// channel goes by way of the node that led the queue when the channel first heard of it, and as long as that node
    /// is down the channel refuses everything to this queue, whoever leads it since (RabbitMQ 3.10,
    /// `rabbit_fifo_client`). A new channel asks anew.
    private(set) var wantsNewChannel = false

    /// - Parameters:
    ///   - maximumAttempts: of a message over which the channel closes.
    ///   - refusedAttempts: of a message that is refused.
    init(maximumAttempts: Int, refusedAttempts: Int) {
        self.maximumAttempts = maximumAttempts
        self.refusedAttempts = refusedAttempts
    }

    var isEmpty: Bool { queued.isEmpty && unconfirmedCount == 0 && refused.isEmpty }
    /// When ``resumeRefused(now:)`` has something to do.
    var resumeAt: Moment { refused.lazy.map(\.until).min() ?? .never }
    /// What the next message needs to be declared first.
    var nextDeclaring: [TopologyStep]? { queued.first?.entry?.declaring }

    mutating func enqueue(_ entry: OutboundEntry) { queued.append(Slot(entry: entry)) }

    /// Puts messages back to the front, in their order.
    mutating func enqueueFirst(_ entries: [OutboundEntry]) {
        queued.prepend(contentsOf: entries.map { Slot(entry: $0) })
    }

    /// Takes the next message out of the queue without publishing it.
    mutating func withdrawNext() -> OutboundEntry? { queued.popFirst()?.entry }

    /// The message to publish now, which from here on waits for its confirmation; `nil` when there is none, or when
    /// `limit` wait already.
    mutating func publishNext(limit: Int) -> OutboundMessage? {
        guard unconfirmedCount < (suspects > 0 ? 1 : limit), let slot = queued.popFirst(), let entry = slot.entry else {
            return nil
        }
        unconfirmed.append(slot)
        unconfirmedCount += 1
        if entry.isAwaited { awaitedCount += 1 }
        return entry.message
    }

    /// `basic.ack`.
    mutating func confirm(_ number: UInt64, multiple: Bool, into finished: inout [Finished]) {
        settle(number, multiple) { ledger, position in
            let number = ledger.firstNumber + UInt64(position)
            guard let entry = ledger.finish(position).entry else { return }
            finished.append((entry, ledger.takeReturned(number) ?? .confirmed))
        }
    }

    /// `basic.nack`: the message waits for a while and goes to the front of the queue, or is given up after the last
    /// attempt. A quorum queue refuses what it is sent while it has no leader, which it has again in a moment.
    mutating func refuse(_ number: UInt64, multiple: Bool, now: Moment, into finished: inout [Finished]) {
        settle(number, multiple) { ledger, position in
            _ = ledger.takeReturned(ledger.firstNumber + UInt64(position))
            var slot = ledger.finish(position)
            slot.refusals += 1
            if slot.refusalsHere.channel != ledger.channelNumber { slot.refusalsHere = (ledger.channelNumber, 0) }
            slot.refusalsHere.count += 1
            if slot.refusalsHere.count >= Self.refusalsPerChannel { ledger.wantsNewChannel = true }
            if slot.refusals < ledger.refusedAttempts {
                let pause = min(Self.firstPause * (1 << min(slot.refusals - 1, 10)), Self.longestPause)
                ledger.refused.append((slot, now + pause))
            } else if let entry = slot.entry {
                finished.append((entry, .failed("the broker refused the message \(slot.refusals) times")))
            }
        }
    }

    /// Queues the refused messages whose pause is over, in front and in their order.
    mutating func resumeRefused(now: Moment) {
        guard resumeAt <= now else { return }
        queued.prepend(contentsOf: refused.lazy.filter { $0.until <= now }.map(\.slot))
        refused.removeAll { $0.until <= now }
    }

    /// `basic.return`: marks the oldest unconfirmed message it can belong to. The return does not carry the publish
    /// number, so the body decides between messages to one destination.
    mutating func markReturned(exchange: String, routingKey: String, body: [UInt8], code: UInt16, text: String) {
        let position = unconfirmed.indices.first { position in
            guard let message = unconfirmed[position].entry?.message, message.mandatory else { return false }
            return message.routingKey == routingKey && message.exchange == exchange && message.body == body
                && returned[firstNumber + UInt64(position)] == nil
        }
        if let position { returned[firstNumber + UInt64(position)] = .returned(code: code, text: text) }
    }

    private mutating func takeReturned(_ number: UInt64) -> PublishOutcome? {
        returned.isEmpty ? nil : returned.removeValue(forKey: number)
    }

    /// The connection, or the channel, is gone: what was unconfirmed is queued again, in front.
    mutating func connectionLost() {
        let again = unconfirmed.filter { $0.entry != nil }
        reset()
        queued.prepend(contentsOf: again)
    }

    /// The broker closed the channel over one of the unconfirmed messages. When there is only one, it is the one, and
    /// is given up after its last attempt (at once when nothing would be declared anew for it); else all are sent
    /// again one by one, which finds it.
    mutating func channelClosed(_ text: String, into finished: inout [Finished]) {
        let open = unconfirmed.filter { $0.entry != nil }
        guard open.count == 1, var culprit = open.first, let entry = culprit.entry else {
            suspects = max(suspects, open.count)
            return connectionLost()
        }
        reset()
        suspects = max(0, suspects - 1)
        culprit.closes += 1
        if entry.declaring.isEmpty || culprit.closes >= maximumAttempts {
            finished.append((entry, .failed(text)))
        } else {
            queued.prepend(culprit)
            suspects += 1
        }
    }

    /// Gives up everything.
    mutating func failAll(_ reason: String, into finished: inout [Finished]) {
        for slot in unconfirmed + refused.map(\.slot) + queued {
            if let entry = slot.entry { finished.append((entry, .failed(reason))) }
        }
        queued.removeAll()
        refused.removeAll()
        suspects = 0
        reset()
    }

    private mutating func reset() {
        unconfirmed.removeAll(keepingCapacity: true)
        unconfirmedCount = 0
        awaitedCount = 0
        returned.removeAll()
        firstNumber = 1
        channelNumber += 1
        wantsNewChannel = false
    }

    private mutating func settle(_ number: UInt64, _ multiple: Bool, _ body: (inout Self, Int) -> Void) {
        guard number >= firstNumber else { return }
        let last = Int(min(number - firstNumber, UInt64(Int.max - 1)))
        guard last < unconfirmed.count else { return }
        for position in (multiple ? 0 : last)...last where unconfirmed[position].entry != nil { body(&self, position) }
        while let first = unconfirmed.first, first.entry == nil {
            unconfirmed.removeFirst()
            firstNumber += 1
        }
    }

    /// Empties the slot; the message's memory is not held until those before it are confirmed.
    private mutating func finish(_ position: Int) -> Slot {
        let slot = unconfirmed[position]
        unconfirmed[position].entry = nil
        unconfirmedCount -= 1
        if slot.entry?.isAwaited == true { awaitedCount -= 1 }
        suspects = max(0, suspects - 1)
        return slot
    }
}
