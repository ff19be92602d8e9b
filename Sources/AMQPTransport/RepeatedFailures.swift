/// Tells news from repetition among failed attempts to connect: a broker that is down for an hour is worth more than
/// one line, and less than two a second.
struct RepeatedFailures: Sendable {
    private struct Failure: Sendable {
        var reason: String
        var saidAt: ContinuousClock.Instant
    }

    /// A failure that goes on is said again after this time.
    static let interval = Duration.seconds(30)

    private var last: [ConnectionRole: [String: Failure]] = [:]

    /// Whether this failure is to be said: another reason than last time at this address, or last said long ago.
    mutating func isNews(
        _ role: ConnectionRole,
        _ address: String,
        _ reason: String,
        at now: ContinuousClock.Instant
    ) -> Bool {
        if let failure = last[role]?[address], failure.reason == reason, now - failure.saidAt < Self.interval {
            return false
        }
        last[role, default: [:]][address] = Failure(reason: reason, saidAt: now)
        return true
    }

    /// The connection stands: the next failure is news.
    mutating func connected(_ role: ConnectionRole) { last[role] = nil }
}
