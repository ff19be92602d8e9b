/// Which requests run, and which wait for their turn: at most `limit` run at once, first come first served.
struct PluginRequestTable: Sendable {
    struct Running: Sendable {
        let method: String
        /// When the answer is due; `nil` = whenever.
        var due: ContinuousClock.Instant?
    }

    struct Waiting: Sendable {
        let request: PluginRequest
        /// When it is no use any more.
        let due: ContinuousClock.Instant?
    }

    var limit = 1
    private var lastID: Int64 = 0
    private var active: [Int64: Running] = [:]
    private var line: [Waiting] = []
    /// Cancelled before they were made.
    private var early: Set<Int64> = []

    var running: Int { active.count }
    var waiting: Int { line.count }

    mutating func makeID() -> Int64 {
        lastID += 1
        return lastID
    }

    /// Takes a request up.
    ///
    /// - Returns: whether it is to be sent now.
    mutating func add(_ request: PluginRequest, due: ContinuousClock.Instant?) -> Bool {
        guard active.count < limit else {
            line.append(Waiting(request: request, due: due))
            return false
        }
        active[request.id] = Running(method: request.method, due: due)
        return true
    }

    /// An answer has come, or none will.
    ///
    /// - Returns: whether it was under way.
    mutating func finish(_ id: Int64) -> Bool { active.removeValue(forKey: id) != nil }

    /// The next one whose turn has come, now under way.
    mutating func next() -> Waiting? {
        guard active.count < limit, !line.isEmpty else { return nil }
        let waiting = line.removeFirst()
        active[waiting.request.id] = Running(method: waiting.request.method, due: waiting.due)
        return waiting
    }

    enum Cancelled { case waiting, running, unknown }

    /// - Parameter limit: when it is to be over, if it has no deadline.
    mutating func cancel(_ id: Int64, limit: ContinuousClock.Instant) -> Cancelled {
        if let position = line.firstIndex(where: { $0.request.id == id }) {
            line.remove(at: position)
            return .waiting
        }
        guard var running = active[id] else {
            early.insert(id)
            return .unknown
        }
        running.due = running.due ?? limit
        active[id] = running
        return .running
    }

    /// Whether it was cancelled before it was taken up.
    mutating func wasCancelled(_ id: Int64) -> Bool { early.remove(id) != nil }

    /// Nobody asks for it any more.
    mutating func forget(_ id: Int64) { early.remove(id) }

    /// Takes those out of the line that came to nothing.
    mutating func expire(_ now: ContinuousClock.Instant) -> [Int64] {
        let overdue = line.filter { $0.due.map { $0 <= now } ?? false }.map(\.request.id)
        if !overdue.isEmpty { line.removeAll { overdue.contains($0.request.id) } }
        return overdue
    }

    /// A request that has no answer although it was due so long ago.
    func hung(_ now: ContinuousClock.Instant, grace: Duration) -> Running? {
        active.values.first { $0.due.map { $0 + grace <= now } ?? false }
    }

    mutating func removeAll() -> [Int64] {
        defer {
            active = [:]
            line = []
        }
        return Array(active.keys) + line.map(\.request.id)
    }
}
