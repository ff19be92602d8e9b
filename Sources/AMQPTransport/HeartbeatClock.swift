/// Heartbeats of one connection (AMQP 0-9-1, section 4.2.7): sent when we were silent for half the interval, and the
/// peer is dead when nothing came from it for two.
struct HeartbeatClock {
    enum Verdict: Equatable {
        case fine, send, peerIsDead
    }

    /// `nil` = no heartbeats agreed on.
    private let interval: Duration?
    private var lastRead: Moment
    private var lastWrite: Moment

    init(seconds: Int, now: Moment) {
        interval = seconds > 0 ? .seconds(seconds) : nil
        lastRead = now
        lastWrite = now
    }

    mutating func didRead(now: Moment) { lastRead = now }
    mutating func didWrite(now: Moment) { lastWrite = now }

    func verdict(now: Moment) -> Verdict {
        guard let interval else { return .fine }
        if lastRead + interval * 2 <= now { return .peerIsDead }
        return lastWrite + interval / 2 <= now ? .send : .fine
    }

    /// When the verdict changes if nothing happens.
    var wakeAt: Moment {
        guard let interval else { return .never }
        return min(lastRead + interval * 2, lastWrite + interval / 2)
    }
}
