/// Deadlines in order; the earliest is found at once. Entries are not removed before their time: whoever is woken
/// looks whether there is anything to do.
struct TimerHeap<Value> {
    private var entries: [(deadline: UInt64, value: Value)] = []

    var earliest: UInt64? { entries.first?.deadline }
    var count: Int { entries.count }

    mutating func insert(_ value: Value, at deadline: UInt64) {
        entries.append((deadline, value))
        var child = entries.count - 1
        while child > 0 {
            let parent = (child - 1) / 2
            guard entries[child].deadline < entries[parent].deadline else { return }
            entries.swapAt(child, parent)
            child = parent
        }
    }

    /// The earliest entry, if its time has come.
    mutating func popDue(at now: UInt64) -> Value? {
        guard let first = entries.first, first.deadline <= now else { return nil }
        entries.swapAt(0, entries.count - 1)
        entries.removeLast()
        var parent = 0
        while true {
            var smallest = parent
            for child in [2 * parent + 1, 2 * parent + 2] where child < entries.count {
                if entries[child].deadline < entries[smallest].deadline { smallest = child }
            }
            if smallest == parent { return first.value }
            entries.swapAt(smallest, parent)
            parent = smallest
        }
    }

    mutating func removeAll() { entries.removeAll() }
}
