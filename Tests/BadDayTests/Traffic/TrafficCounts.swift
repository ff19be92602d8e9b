import DaemonBench

/// What went over the wire in a test, and what became of it.
struct TrafficCounts: Sendable, CustomStringConvertible {
    /// Requests that change something, each with an id of its own.
    var changes = 0
    /// Of these, the calls.
    var calls = 0
    /// Of these, those that the broker refused to take; each was sent again as another.
    var withdrawn = 0
    var reads = 0
    var answered = 0
    /// Of the answered, those that were answered with a failure.
    var refused = 0
    /// Calls whose answer did not come.
    var unanswered = 0
    var inFlight = 0
    var mostInFlight = 0
    /// Reboots that a kill cut off; whether they had happened cannot be told.
    var uncertainReboots = 0
    var kills = 0
    var faults: [String] = []
    /// Ids that the journals remember at the end.
    var accepted = 0
    /// Requests whose operation ended more than once.
    var doubled = 0

    /// Changes of which no journal knows.
    var lost: Int { changes - withdrawn - accepted }

    mutating func sent(call: Bool, count: Int = 1) {
        changes += count
        guard call else { return }
        calls += count
        inFlight += count
        mostInFlight = max(mostInFlight, inFlight)
    }

    mutating func withdraw(call: Bool) {
        withdrawn += 1
        if call { inFlight -= 1 }
    }

    static func += (sum: inout TrafficCounts, more: TrafficCounts) {
        sum.changes += more.changes
        sum.calls += more.calls
        sum.withdrawn += more.withdrawn
        sum.reads += more.reads
        sum.answered += more.answered
        sum.refused += more.refused
        sum.unanswered += more.unanswered
        sum.mostInFlight = max(sum.mostInFlight, more.mostInFlight)
        sum.uncertainReboots += more.uncertainReboots
        sum.kills += more.kills
        sum.faults += more.faults
        sum.accepted += more.accepted
        sum.doubled += more.doubled
    }

    var description: String {
        """
        \(changes) changes sent (\(calls) calls), \(answered) answered, \(refused) of these refused, \
        \(unanswered) unanswered, \(reads) reads, at most \(mostInFlight) calls in flight, \(kills) kills, \
        \(faults.count) faults
        """
    }
}
