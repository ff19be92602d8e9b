/// How long a descriptor rests between two looks at it, as a pure value: the less came, the longer.
///
/// One small look straight after a large one says nothing: the guest was still waking up.
struct ConsolePace: Sendable {
    private static let rests: [Duration] = [
        .zero, .milliseconds(1), .milliseconds(2), .milliseconds(5), .milliseconds(10), .milliseconds(20),
        .milliseconds(50),
    ]
    /// Less at one look means a longer rest.
    private static let small = 8 * 1024
    /// So much means that the pipe, of 64 KiB, might get full: no rest.
    private static let large = 32 * 1024
    /// What comes after such a silence is looked at straight away.
    private static let silence = Duration.milliseconds(100)

    private var step = 0
    private var latest = Duration.zero
    private var wasLarge = false

    var rest: Duration { Self.rests[step] }

    /// How long to let bytes gather before the next look; `nil` for none.
    func restBefore(_ now: Duration) -> Duration? {
        step == 0 || now - latest >= Self.silence ? nil : rest
    }

    /// A look at `now` brought `count` bytes.
    mutating func took(_ count: Int, at now: Duration) {
        if count >= Self.large {
            step = 0
        } else if now - latest >= Self.silence {
            step = count < Self.small ? 1 : 0
        } else if count < Self.small, !wasLarge {
            step = min(step + 1, Self.rests.count - 1)
        }
        wasLarge = count >= Self.large
        latest = now
    }
}
