/// Decides which instance of a host leaves next and where to. A value without I/O.
///
/// Destinations are chosen by how many instances they have, counting those on their way, so that a drained host's load
/// spreads. A destination that refused an instance is not asked again for that one; an instance that all destinations
/// refused stays.
package struct DrainPlan: Sendable {
    /// An instance and the host it is to move to.
    package struct Move: Sendable, Hashable {
        package let instance: Instance
        package let destination: String
    }

    private struct Candidate {
        let instance: Instance
        /// Hosts that have not refused it.
        var open: Set<String>
    }

    private let parallel: Int
    private var waiting: [Candidate]
    private var moving: [String: Candidate] = [:]
    private var load: [String: Int]
    /// How many have reached another host.
    package private(set) var moved = 0
    /// How many there were at the beginning.
    package let total: Int

    /// - Parameters:
    ///   - destinations: hosts with the number of their instances.
    ///   - parallel: how many may be on their way at once; at least 1.
    package init(_ instances: [Instance], destinations: [String: Int], parallel: Int) {
        self.parallel = max(1, parallel)
        waiting = instances.map { Candidate(instance: $0, open: Set(destinations.keys)) }
        load = destinations
        total = instances.count
    }

    /// Nothing is on its way and nothing can start.
    package var isOver: Bool { moving.isEmpty && waiting.isEmpty }

    /// The next move to begin now, if any; it counts as on its way from here on.
    package mutating func next() -> Move? {
        guard moving.count < parallel, !waiting.isEmpty else { return nil }
        let candidate = waiting.removeFirst()
        let destination = candidate.open.min { (load[$0] ?? 0, $0) < (load[$1] ?? 0, $1) }
        guard let destination else { return nil }
        load[destination, default: 0] += 1
        moving[candidate.instance.uuid] = candidate
        return Move(instance: candidate.instance, destination: destination)
    }

    package mutating func succeeded(_ move: Move) {
        guard moving.removeValue(forKey: move.instance.uuid) != nil else { return }
        moved += 1
    }

    /// - Parameter isFinal: no other destination would do better.
    /// - Returns: whether another destination is left to be tried.
    package mutating func failed(_ move: Move, isFinal: Bool = false) -> Bool {
        guard var candidate = moving.removeValue(forKey: move.instance.uuid) else { return false }
        load[move.destination, default: 1] -= 1
        candidate.open.remove(move.destination)
        guard !isFinal, !candidate.open.isEmpty else { return false }
        waiting.append(candidate)
        return true
    }
}
