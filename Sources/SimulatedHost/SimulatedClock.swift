import Glibc
import Synchronization

/// The time that simulated guests live by: this machine's, or one that a test moves by hand.
package final class SimulatedClock: Sendable {
    /// Follows the machine's clocks.
    package static var system: SimulatedClock { SimulatedClock(isManual: false) }

    /// Stands still until ``SimulatedWorld/advance(by:)`` moves it.
    package static var manual: SimulatedClock { SimulatedClock(isManual: true) }

    package let isManual: Bool
    private let manualTime = Atomic<UInt64>(1_000_000_000)

    private init(isManual: Bool) { self.isManual = isManual }

    /// Nanoseconds that never go back; comparable within one process only.
    package var now: UInt64 { isManual ? manualTime.load(ordering: .acquiring) : Self.read(CLOCK_MONOTONIC) }

    /// Nanoseconds since 1970: what a restarted worker compares with what it finds written.
    package var wall: UInt64 { isManual ? manualTime.load(ordering: .acquiring) : Self.read(CLOCK_REALTIME) }

    /// For a manual clock only; an earlier time is ignored.
    func set(_ time: UInt64) {
        if isManual, time > manualTime.load(ordering: .acquiring) { manualTime.store(time, ordering: .releasing) }
    }

    private static func read(_ clock: clockid_t) -> UInt64 {
        var time = timespec()
        clock_gettime(clock, &time)
        return UInt64(time.tv_sec) * 1_000_000_000 + UInt64(time.tv_nsec)
    }
}
