import CoreMetrics
import Synchronization

/// Counts up; wraps at 2^63, which no process lives to see.
final class CounterCell: CounterHandler, FloatingPointCounterHandler {
    private let whole = Atomic<Int64>(0)
    private let fraction = AtomicDouble()

    func increment(by amount: Int64) {
        guard amount > 0 else { return }
        whole.wrappingAdd(amount, ordering: .relaxed)
    }

    func increment(by amount: Double) {
        guard amount > 0, amount.isFinite else { return }
        fraction.add(amount)
    }

    func reset() {
        whole.store(0, ordering: .relaxed)
        fraction.store(0)
    }

    var integer: Int64 { whole.load(ordering: .relaxed) }
    var fractional: Double { fraction.value }
}

/// Holds the last value; for meters and for recorders that do not aggregate.
final class GaugeCell: MeterHandler, RecorderHandler {
    private let current = AtomicDouble()

    func set(_ value: Int64) { current.store(Double(value)) }
    func set(_ value: Double) { current.store(value) }
    func increment(by amount: Double) { current.add(amount) }
    func decrement(by amount: Double) { current.add(-amount) }
    func record(_ value: Int64) { current.store(Double(value)) }
    func record(_ value: Double) { current.store(value) }

    var value: Double { current.value }
}

/// Counts values by upper bounds; for timers, in seconds, and for recorders that aggregate.
final class HistogramCell: TimerHandler, RecorderHandler {
    /// What the buckets hold up to; one more takes the rest.
    let bounds: [Double]
    private let buckets: [CountCell]
    private let total = AtomicDouble()

    /// From a tenth of a millisecond to ten minutes.
    static let secondBounds = [
        0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120,
        300, 600,
    ]
    /// Powers of four, for sizes and counts.
    static let plainBounds: [Double] = (0...15).map { Double(1 << (2 * $0)) }

    init(bounds: [Double]) {
        self.bounds = bounds
        buckets = (0...bounds.count).map { _ in CountCell() }
    }

    func recordNanoseconds(_ duration: Int64) { record(Double(duration) / 1_000_000_000) }
    func record(_ value: Int64) { record(Double(value)) }

    func record(_ value: Double) {
        guard value.isFinite else { return }
        var low = 0
        var high = bounds.count
        while low < high {
            let middle = (low + high) / 2
            if bounds[middle] < value { low = middle + 1 } else { high = middle }
        }
        buckets[low].count.wrappingAdd(1, ordering: .relaxed)
        total.add(value)
    }

    var sum: Double { total.value }

    /// Values up to each bound and in all, each counting those before it.
    var cumulative: [Int64] {
        var sum: Int64 = 0
        return buckets.map { bucket in
            sum += bucket.count.load(ordering: .relaxed)
            return sum
        }
    }
}

/// An atomic in a box, since arrays hold no values that cannot be copied.
private final class CountCell: Sendable {
    let count = Atomic<Int64>(0)
}
