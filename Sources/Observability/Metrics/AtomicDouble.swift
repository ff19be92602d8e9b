import Synchronization

/// A double that many threads add to without a lock.
struct AtomicDouble: ~Copyable, Sendable {
    private let bits: Atomic<UInt64>

    init(_ value: Double = 0) { bits = Atomic(value.bitPattern) }

    var value: Double { Double(bitPattern: bits.load(ordering: .relaxed)) }

    func store(_ value: Double) { bits.store(value.bitPattern, ordering: .relaxed) }

    func add(_ amount: Double) {
        var expected = bits.load(ordering: .relaxed)
        while true {
            let sum = Double(bitPattern: expected) + amount
            let (done, found) = bits.weakCompareExchange(
                expected: expected,
                desired: sum.bitPattern,
                ordering: .relaxed
            )
            if done { return }
            expected = found
        }
    }
}
