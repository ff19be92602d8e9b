package import OsloMessaging
package import Support

/// One answer to a request that went to all hosts.
package typealias GatheredReply = Result<JSONValue, RemoteFailure>

/// The answers of many servers to one fan-out, until there are enough or time is up. A value without I/O.
struct GatherProgress: Sendable {
    typealias Instant = ContinuousClock.Instant

    let expected: Int?
    /// After an answer, how long to wait for the next one at least; as long again as the latest took if that is longer.
    let quiet: Duration?
    let maximum: Int
    private(set) var replies: [GatheredReply] = []
    private let limit: Duration
    private var start: Instant
    private var deadline: Instant
    private var quietUntil: Instant?
    private var isSent = false

    init(deadline limit: Duration, expected: Int?, quiet: Duration?, maximum: Int, now: Instant) {
        self.expected = expected
        self.quiet = quiet
        self.maximum = maximum
        self.limit = min(limit, CallProgress.longest)
        start = now
        deadline = now + self.limit
        quietUntil = quiet.map { now + $0 }
    }

    mutating func sent(now: Instant) {
        guard !isSent else { return }
        isSent = true
        start = now
        deadline = now + limit
    }

    /// Takes a message; only last ones count, because those of different servers cannot be told apart.
    ///
    /// - Returns: whether there are enough.
    mutating func received(_ reply: RPCReply, now: Instant) -> Bool {
        guard reply.ending else { return false }
        if replies.count < maximum {
            replies.append(reply.failure.map { .failure($0) } ?? .success(reply.result ?? .null))
        }
        if let quiet { quietUntil = now + max(quiet, now - start) }
        if let expected { return replies.count >= expected }
        return replies.count >= maximum
    }

    /// When to look at ``isOver(now:)`` next. Only ever moves on, so that whoever sleeps until then need not be woken.
    var expiresAt: Instant { min(deadline, quietUntil ?? deadline) }

    /// Whether to wait no longer.
    mutating func isOver(now: Instant) -> Bool {
        if now >= deadline { return true }
        guard let quiet, let quietUntil, now >= quietUntil else { return false }
        if !replies.isEmpty { return true }
        self.quietUntil = now + quiet
        return false
    }

    /// `false` means that nobody can have answered.
    var wasSent: Bool { isSent || !replies.isEmpty }
}
