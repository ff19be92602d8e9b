/// A request as the journal keeps it until it has ended.
package struct AcceptedRequest: Sendable, Hashable {
    /// The request's `_unique_id` (oslo.messaging wire, section 5): the key by which a repetition is recognised.
    package var uniqueID: String
    package var method: String
    /// The message body as it was delivered; decoded again when the request is taken up after a restart.
    package var body: [UInt8]
    /// `nil` for casts.
    package var replyQueue: String?
    /// The call's `_msg_id`; `nil` for casts.
    package var messageID: String?
    /// Milliseconds since 1970.
    package var acceptedAt: Int64
    /// When the caller stops waiting, in milliseconds since 1970; `nil` for casts.
    package var expiresAt: Int64?

    package init(
        uniqueID: String,
        method: String,
        body: [UInt8],
        replyQueue: String? = nil,
        messageID: String? = nil,
        acceptedAt: Int64,
        expiresAt: Int64? = nil
    ) {
        self.uniqueID = uniqueID
        self.method = method
        self.body = body
        self.replyQueue = replyQueue
        self.messageID = messageID
        self.acceptedAt = acceptedAt
        self.expiresAt = expiresAt
    }
}

/// Names an accepted request within its journal, also across restarts.
package struct EntryID: Sendable, Hashable {
    package let number: Int64

    package init(number: Int64) { self.number = number }
}

/// What became of a request offered to the journal.
package enum Acceptance: Sendable, Hashable {
    case accepted(EntryID)
    /// A request with this id was accepted before, by this process or an earlier one.
    case duplicate
}

/// How an operation ended, as far as it is kept.
package enum RequestOutcome: Sendable, Hashable {
    case succeeded
    /// The class name of the failure.
    case failed(String)
    /// Not executed: the caller had stopped waiting.
    case expired
}

/// A reply that was not yet confirmed by the broker.
package struct OwedReply: Sendable, Hashable {
    package var queue: String
    /// The encoded message body.
    package var body: [UInt8]

    package init(queue: String, body: [UInt8]) {
        self.queue = queue
        self.body = body
    }
}

/// An accepted request that has not ended, as found after a restart.
package struct UnfinishedRequest: Sendable, Hashable {
    package var entry: EntryID
    package var request: AcceptedRequest
    /// Whether its operation may have begun: then it must be looked at before anything is done again.
    package var started: Bool
}

/// An owed reply together with the entry it belongs to, as found after a restart.
package struct OwedEntry: Sendable, Hashable {
    package var entry: EntryID
    package var reply: OwedReply
    /// When its request was accepted, in milliseconds since 1970.
    package var acceptedAt: Int64
}
