/// When a guest is asked to shut down, and for how long each answer is awaited (VM operations, section 6.11).
///
/// The budget shrinks by the interval per round, not by the time really spent, so that the number of requests is
/// ceil(timeout / interval): a budget of 2 s with an interval of 1.5 s gives waits of 1.5 s and 0.5 s.
package struct ShutdownSchedule: Sequence, IteratorProtocol, Sendable {
    private var budget: Duration
    private let interval: Duration

    /// A budget of zero or less gives no round at all; an interval of zero or less means 5 s.
    package init(timeout: Duration, interval: Duration) {
        self.budget = timeout
        self.interval = interval > .zero ? interval : .seconds(5)
    }

    /// The next round's wait.
    package mutating func next() -> Duration? {
        guard budget > .zero else { return nil }
        let wait = Swift.min(interval, budget)
        budget -= interval
        return wait
    }
}
