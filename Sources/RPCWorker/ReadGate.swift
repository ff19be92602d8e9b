import DequeModule

/// Decides which reads run and which wait. A value without I/O.
struct ReadGate<Ticket> {
    enum Verdict: Hashable {
        case start
        /// Wait in line; acknowledged, as oslo.messaging acknowledges what it queues.
        case wait
        /// Wait in line, unacknowledged.
        case waitUnsettled
    }

    let limit: Int
    private(set) var running = 0
    private var line: Deque<Ticket> = []
    var waiting: Int { line.count }

    init(limit: Int) { self.limit = max(1, limit) }

    mutating func offer() -> Verdict {
        if running < limit {
            running += 1
            return .start
        }
        return line.count < limit ? .wait : .waitUnsettled
    }

    mutating func wait(_ ticket: Ticket) { line.append(ticket) }

    /// A read has ended.
    ///
    /// - Returns: the one to run in its place.
    mutating func ended() -> Ticket? {
        if let next = line.popFirst() { return next }
        running -= 1
        return nil
    }

    mutating func drop(where isGone: (Ticket) -> Bool) -> [Ticket] {
        let gone = line.filter(isGone)
        if !gone.isEmpty { line.removeAll(where: isGone) }
        return Array(gone)
    }
}
