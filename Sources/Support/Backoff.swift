/// Growing pauses between attempts, with full jitter: each pause is drawn between `initial` and the present ceiling,
/// which doubles up to `maximum`.
package struct Backoff: Sendable {
    package let initial: Duration
    package let maximum: Duration
    private var ceiling: Duration

    package init(initial: Duration, maximum: Duration) {
        self.initial = initial
        self.maximum = maximum
        self.ceiling = initial
    }

    /// The next pause.
    package mutating func next() -> Duration {
        let span = ceiling - initial
        let pause = initial + span * Double.random(in: 0...1)
        ceiling = min(ceiling * 2, maximum)
        return pause
    }

    package mutating func reset() { ceiling = initial }
}
