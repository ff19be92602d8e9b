/// The last so many 128-bit numbers.
///
/// A ring of the numbers, and a table of places in the ring: open addressing with linear probing, never more than half
/// full, doubled while the ring grows. Whoever chooses the numbers cannot make them collide: where one is looked for
/// depends on a random multiplier.
struct RecentNumbers: Sendable {
    struct Number: Sendable, Equatable {
        let high: UInt64
        let low: UInt64
    }

    private static let empty = UInt32.max

    private let capacity: Int
    private let multiplier = UInt64.random(in: .min ... .max) | 1
    private var ring: [Number] = []
    private var oldest = 0
    private var table: [UInt32] = []

    /// - Parameter capacity: at least 1, below 2^31.
    init(capacity: Int) { self.capacity = capacity }

    var count: Int { ring.count }

    /// - Returns: false when the number is among the last.
    mutating func insert(_ number: Number) -> Bool {
        guard !contains(number) else { return false }
        if ring.count < capacity {
            ring.append(number)
            if ring.count * 2 > table.count { grow() } else { enter(ring.count - 1) }
        } else {
            remove(oldest)
            ring[oldest] = number
            enter(oldest)
            oldest = oldest + 1 == capacity ? 0 : oldest + 1
        }
        return true
    }

    private func contains(_ number: Number) -> Bool {
        guard !table.isEmpty else { return false }
        var slot = home(number)
        while table[slot] != Self.empty {
            if ring[Int(table[slot])] == number { return true }
            slot = next(slot)
        }
        return false
    }

    private mutating func grow() {
        table = [UInt32](repeating: Self.empty, count: max(32, table.count * 2))
        for place in ring.indices { enter(place) }
    }

    private mutating func enter(_ place: Int) {
        var slot = home(ring[place])
        while table[slot] != Self.empty { slot = next(slot) }
        table[slot] = UInt32(place)
    }

    /// Empties the number's slot and closes the gap: whatever stands behind it and may not stay there moves up.
    private mutating func remove(_ place: Int) {
        var gap = home(ring[place])
        while table[gap] != UInt32(place) { gap = next(gap) }
        var slot = next(gap)
        while table[slot] != Self.empty {
            let wanted = home(ring[Int(table[slot])])
            if distance(from: wanted, to: slot) >= distance(from: gap, to: slot) {
                table[gap] = table[slot]
                gap = slot
            }
            slot = next(slot)
        }
        table[gap] = Self.empty
    }

    @inline(__always)
    private func home(_ number: Number) -> Int {
        let mixed = (number.high ^ number.low &* multiplier) &* multiplier
        return Int(truncatingIfNeeded: mixed >> 32) & (table.count - 1)
    }

    @inline(__always)
    private func next(_ slot: Int) -> Int { (slot + 1) & (table.count - 1) }

    private func distance(from first: Int, to second: Int) -> Int { (second - first) & (table.count - 1) }
}
