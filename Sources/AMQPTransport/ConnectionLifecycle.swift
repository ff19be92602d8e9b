import Support

/// When to connect to which of the addresses: each in turn at once, a growing pause after each full round, a long one
/// when only a change of configuration can help (oslo.messaging wire, sections 15 and 19).
struct ConnectionLifecycle {
    enum State: Equatable {
        case idle
        case waiting(address: Int, until: Moment)
        case connecting(address: Int)
        case up(address: Int, since: Moment)
        case closed
    }

    /// A connection that ends sooner counts as a failed attempt, so that a broker which accepts and drops us is not
    /// hammered.
    private static let settled = Duration.seconds(1)

    private(set) var state = State.idle
    private let addresses: Int
    private var backoff: Backoff
    private let refusedPause: Duration
    private var failuresInRound = 0
    private var permanentInRound = 0
    private var refusedRounds = 0

    init(addresses: Int, backoff: Backoff, refusedPause: Duration) {
        self.addresses = max(1, addresses)
        self.backoff = backoff
        self.refusedPause = refusedPause
    }

    mutating func start(now: Moment) {
        if state == .idle { state = .waiting(address: 0, until: now) }
    }

    /// The address to connect to, if it is time.
    mutating func due(now: Moment) -> Int? {
        guard case .waiting(let address, let until) = state, until <= now else { return nil }
        state = .connecting(address: address)
        return address
    }

    /// When ``due(now:)`` will have something.
    var wakeAt: Moment {
        if case .waiting(_, let until) = state { until } else { .never }
    }

    mutating func connected(now: Moment) {
        if case .connecting(let address) = state { state = .up(address: address, since: now) }
    }

    /// An attempt failed.
    mutating func failed(permanent: Bool, now: Moment) {
        guard case .connecting(let address) = state else { return }
        next(after: address, permanent: permanent, now: now)
    }

    /// An established connection ended.
    mutating func lost(permanent: Bool, now: Moment) {
        guard case .up(let address, let since) = state else { return }
        if !permanent, since + Self.settled <= now {
            backoff.reset()
            refusedRounds = 0
            failuresInRound = 0
            permanentInRound = 0
            state = .waiting(address: (address + 1) % addresses, until: now)
        } else {
            next(after: address, permanent: permanent, now: now)
        }
    }

    mutating func close() { state = .closed }

    private mutating func next(after address: Int, permanent: Bool, now: Moment) {
        failuresInRound += 1
        if permanent { permanentInRound += 1 }
        var until = now
        if failuresInRound >= addresses {
            let refused = permanentInRound == failuresInRound
            until = now + (refused ? nextRefusedPause() : backoff.next())
            if !refused { refusedRounds = 0 }
            failuresInRound = 0
            permanentInRound = 0
        }
        state = .waiting(address: (address + 1) % addresses, until: until)
    }

    /// A broker that is starting refuses for a moment what it takes later, so the first pauses are short.
    private mutating func nextRefusedPause() -> Duration {
        defer { refusedRounds += 1 }
        return min(.seconds(1 << min(refusedRounds, 10)), refusedPause)
    }
}
