import AMQPModel
import DequeModule

/// A message on its way to the broker, with whoever waits for its outcome.
struct OutboundEntry: Sendable {
    var message: OutboundMessage
    var declaring: [TopologyStep]
    var completion: (@Sendable (PublishOutcome) -> Void)?
    /// How often the broker refused it so far.
    var refusals = 0
    /// The broker sent it back; its confirmation is still to come.
    var returned: PublishOutcome?
    /// Confirmed or given up; kept only until those before it are, too.
    var finished = false

    init(
        message: OutboundMessage,
        declaring: [TopologyStep] = [],
        completion: (@Sendable (PublishOutcome) -> Void)? = nil
    ) {
        self.message = message
        self.declaring = declaring
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

    private let maximumAttempts: Int
    private var queued: Deque<OutboundEntry> = []
    private var unconfirmed: Deque<OutboundEntry> = []
    /// Publish number of `unconfirmed.first` on the present channel.
    private var firstNumber: UInt64 = 1
    private(set) var unconfirmedCount = 0
    /// Messages to be sent one by one, because one of them made the broker close the channel and nobody knows which.
    private var suspects = 0

    init(maximumAttempts: Int) { self.maximumAttempts = maximumAttempts }

    var queuedCount: Int { queued.count }
    var isEmpty: Bool { queued.isEmpty && unconfirmedCount == 0 }
    /// What the next message needs to be declared first.
    var nextDeclaring: [TopologyStep]? { queued.first?.declaring }

    mutating func enqueue(_ entry: OutboundEntry) { queued.append(entry) }

    /// Puts messages back to the front, in their order.
    mutating func enqueueFirst(_ entries: [OutboundEntry]) { queued.prepend(contentsOf: entries) }

    /// Takes the next message out of the queue without publishing it.
    mutating func withdrawNext() -> OutboundEntry? { queued.popFirst() }

    /// The message to publish now, which from here on waits for its confirmation; `nil` when there is none, or when
    /// `limit` wait already.
    mutating func publishNext(limit: Int) -> OutboundMessage? {
        guard unconfirmedCount < (suspects > 0 ? 1 : limit), let entry = queued.popFirst() else { return nil }
        unconfirmed.append(entry)
        unconfirmedCount += 1
        return entry.message
    }

    /// `basic.ack`.
    mutating func confirm(_ number: UInt64, multiple: Bool, into finished: inout [Finished]) {
        settle(number, multiple) { ledger, position in
            let entry = ledger.finish(position)
            finished.append((entry, entry.returned ?? .confirmed))
        }
    }

    /// `basic.nack`: the message goes to the front of the queue, or is given up after the last attempt.
    mutating func refuse(_ number: UInt64, multiple: Bool, into finished: inout [Finished]) {
        var again: [OutboundEntry] = []
        settle(number, multiple) { ledger, position in
            var entry = ledger.finish(position)
            entry.refusals += 1
            entry.returned = nil
            if entry.refusals < ledger.maximumAttempts {
                again.append(entry)
            } else {
                finished.append((entry, .failed("the broker refused the message \(entry.refusals) times")))
            }
        }
        enqueueFirst(again)
    }

    /// `basic.return`: marks the oldest unconfirmed message it can belong to. The return does not carry the publish
    /// number, so the body decides between messages to one destination.
    mutating func markReturned(exchange: String, routingKey: String, body: [UInt8], code: UInt16, text: String) {
        let position = unconfirmed.firstIndex { entry in
            !entry.finished && entry.returned == nil && entry.message.mandatory
                && entry.message.routingKey == routingKey && entry.message.exchange == exchange
                && entry.message.body == body
        }
        if let position { unconfirmed[position].returned = .returned(code: code, text: text) }
    }

    /// The connection is gone: what was unconfirmed is queued again, in front.
    mutating func connectionLost() {
        let again = unconfirmed.filter { !$0.finished }.map { entry in
            var entry = entry
            entry.returned = nil
            return entry
        }
        reset()
        queued.prepend(contentsOf: again)
    }

    /// The broker closed the channel over one of the unconfirmed messages. When there is only one, it is the one, and
    /// is given up after its last attempt (at once when nothing would be declared anew for it); else all are sent
    /// again one by one, which finds it.
    mutating func channelClosed(_ text: String, into finished: inout [Finished]) {
        let open = unconfirmed.filter { !$0.finished }
        guard open.count == 1, var culprit = open.first else {
            suspects = max(suspects, open.count)
            return connectionLost()
        }
        reset()
        suspects = max(0, suspects - 1)
        culprit.refusals += 1
        culprit.returned = nil
        if culprit.declaring.isEmpty || culprit.refusals >= maximumAttempts {
            finished.append((culprit, .failed(text)))
        } else {
            queued.prepend(culprit)
            suspects += 1
        }
    }

    /// Gives up everything.
    mutating func failAll(_ reason: String, into finished: inout [Finished]) {
        for entry in unconfirmed where !entry.finished { finished.append((entry, .failed(reason))) }
        for entry in queued { finished.append((entry, .failed(reason))) }
        queued.removeAll()
        suspects = 0
        reset()
    }

    private mutating func reset() {
        unconfirmed.removeAll(keepingCapacity: true)
        unconfirmedCount = 0
        firstNumber = 1
    }

    private mutating func settle(_ number: UInt64, _ multiple: Bool, _ body: (inout Self, Int) -> Void) {
        guard number >= firstNumber else { return }
        let last = Int(min(number - firstNumber, UInt64(Int.max - 1)))
        guard last < unconfirmed.count else { return }
        for position in (multiple ? 0 : last)...last where !unconfirmed[position].finished { body(&self, position) }
        while let first = unconfirmed.first, first.finished {
            unconfirmed.removeFirst()
            firstNumber += 1
        }
    }

    private mutating func finish(_ position: Int) -> OutboundEntry {
        let entry = unconfirmed[position]
        // Only the mark stays; the message's memory is not held until those before it are confirmed.
        unconfirmed[position] = OutboundEntry(message: Self.nothing)
        unconfirmed[position].finished = true
        unconfirmedCount -= 1
        suspects = max(0, suspects - 1)
        return entry
    }

    private static let nothing = OutboundMessage(
        exchange: "",
        routingKey: "",
        mandatory: false,
        properties: MessageProperties(),
        body: []
    )
}
