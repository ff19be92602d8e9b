import OsloMessaging
import Support

/// One call from its registration to its end: two clocks, and the parts of its answer (oslo.messaging wire, sections 9
/// and 11). A value without I/O; whoever owns it tells it what happens and when.
struct CallProgress: Sendable {
    typealias Instant = ContinuousClock.Instant

    /// Which clock ran out.
    enum Expiry: Equatable {
        /// The broker did not take the request in time.
        case unsent
        /// The call's own time is up.
        case timeout
        /// Nothing came for the monitor's time.
        case silence
    }

    /// Longer times are taken as this one, so that clocks do not overflow.
    static let longest = Duration.seconds(10 * 365 * 86_400)

    let timeout: Duration
    let monitorTimeout: Duration?
    private var assembly = ReplyAssembly()
    private var isSent = false
    private var deadline: Instant
    private var silentUntil: Instant?

    init(timeout: Duration, monitorTimeout: Duration?, now: Instant) {
        self.timeout = min(timeout, Self.longest)
        self.monitorTimeout = monitorTimeout.map { min($0, Self.longest) }
        deadline = now + self.timeout
        silentUntil = self.monitorTimeout.map { now + $0 }
    }

    /// The broker has the request: the time allowed for the answer counts from here.
    mutating func sent(now: Instant) {
        guard !isSent else { return }
        isSent = true
        deadline = now + timeout
        silentUntil = monitorTimeout.map { now + $0 }
    }

    /// Takes a message of the call; any is a sign of life for the monitor and none for the call's own time.
    ///
    /// - Returns: the call's outcome once it is complete.
    mutating func received(_ reply: RPCReply, now: Instant) -> Result<JSONValue, RemoteFailure>? {
        if let monitorTimeout { silentUntil = now + monitorTimeout }
        return assembly.take(reply)
    }

    /// When to look at ``expiry(now:)`` next. Only ever moves on, so that whoever sleeps until then need not be woken.
    var expiresAt: Instant { min(deadline, silentUntil ?? deadline) }

    mutating func expiry(now: Instant) -> Expiry? {
        if now >= deadline { return isSent ? .timeout : .unsent }
        guard let monitorTimeout, let silentUntil, now >= silentUntil else { return nil }
        if isSent { return .silence }
        // Nobody can be silent who has not got the request.
        self.silentUntil = now + monitorTimeout
        return nil
    }
}
