import Glibc

/// A point on the monotonic clock in nanoseconds; cheaper than `ContinuousClock`, which the I/O thread would read
/// several times per message batch.
struct Moment: Comparable, Hashable, Sendable {
    var nanoseconds: Int64

    static let never = Moment(nanoseconds: .max)

    static func now() -> Moment {
        var time = timespec()
        clock_gettime(CLOCK_MONOTONIC, &time)
        return Moment(nanoseconds: Int64(time.tv_sec) * 1_000_000_000 + Int64(time.tv_nsec))
    }

    static func < (left: Moment, right: Moment) -> Bool { left.nanoseconds < right.nanoseconds }

    static func + (moment: Moment, duration: Duration) -> Moment {
        if moment == .never { return .never }
        return Moment(nanoseconds: moment.nanoseconds + duration.nanoseconds)
    }

    /// Nanoseconds from `earlier` to this moment.
    func since(_ earlier: Moment) -> Int64 { nanoseconds - earlier.nanoseconds }

    /// Milliseconds from `now` until this moment for `poll`, rounded up, at least 0; -1 = for ever.
    func pollTimeout(from now: Moment) -> Int32 {
        if self == .never { return -1 }
        if self <= now { return 0 }
        return Int32(min((since(now) + 999_999) / 1_000_000, 60_000))
    }
}

extension Duration {
    /// Whole nanoseconds, saturated to about 146 years.
    var nanoseconds: Int64 {
        let (seconds, attoseconds) = components
        return Swift.min(Swift.max(seconds, 0), 4_600_000_000) * 1_000_000_000 + attoseconds / 1_000_000_000
    }
}
