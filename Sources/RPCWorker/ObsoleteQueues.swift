import DequeModule

/// Remembers reply queues that stayed away, so that further replies to them are not tried (oslo.messaging wire,
/// section 7). Full means that the oldest is forgotten.
struct ObsoleteQueues {
    private let limit: Int
    private let lifetime: Duration
    private var order: Deque<(name: String, until: ContinuousClock.Instant)> = []
    private var names: Set<String> = []

    init(limit: Int, lifetime: Duration) {
        self.limit = max(1, limit)
        self.lifetime = lifetime
    }

    var isEmpty: Bool { names.isEmpty }

    mutating func insert(_ name: String, now: ContinuousClock.Instant) {
        guard names.insert(name).inserted else { return }
        if order.count >= limit, let oldest = order.popFirst() { names.remove(oldest.name) }
        order.append((name, now + lifetime))
    }

    mutating func contains(_ name: String, now: ContinuousClock.Instant) -> Bool {
        while let first = order.first, first.until <= now {
            order.removeFirst()
            names.remove(first.name)
        }
        return names.contains(name)
    }
}
