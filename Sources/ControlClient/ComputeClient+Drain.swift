import Support

/// What happens while a host is drained.
package enum DrainEvent: Sendable {
    case started(DrainPlan.Move)
    case progress(DrainPlan.Move, MigrationState)
    case moved(Instance, done: Int, total: Int)
    /// One try failed; `isFinal` = no other destination is left.
    case failed(DrainPlan.Move, reason: String, isFinal: Bool)
    /// Cannot move while it runs nowhere.
    case left(Instance, reason: String)
}

/// How a drain ended.
package struct DrainResult: Sendable, Hashable {
    /// How many run elsewhere now.
    package var moved = 0
    /// How many are still there.
    package var left = 0
}

extension ComputeClient {
    /// States that a live migration can begin in.
    private static let movable: Set<String> = ["running", "paused"]

    /// Moves everything that runs on `source` to other hosts, several at once. One failure does not stop the others;
    /// cancelling waits for nothing: moves that have begun go on.
    ///
    /// - Parameters:
    ///   - destinations: where to; empty = every other host that answers.
    ///   - parallel: how many migrations at once.
    /// - Throws: ``ControlError`` when the source or a named destination does not answer, or there is no destination.
    package func drain(
        _ source: String,
        to destinations: [String],
        parallel: Int,
        events: @escaping @Sendable (DrainEvent) -> Void
    ) async throws -> DrainResult {
        let load = try await load(of: destinations, without: source)
        let instances = try await onHost(source).list()
        var result = DrainResult()
        for instance in instances where !Self.movable.contains(instance.state) {
            events(.left(instance, reason: "it is \(instance.state)"))
            result.left += 1
        }
        var plan = DrainPlan(
            instances.filter { Self.movable.contains($0.state) },
            destinations: load,
            parallel: parallel
        )
        try await withThrowingTaskGroup(of: (DrainPlan.Move, Result<Instance, any Error>).self) { group in
            while true {
                while let move = plan.next() {
                    events(.started(move))
                    group.addTask { (move, await self.move(move, events)) }
                }
                guard let (move, outcome) = try await group.next() else { break }
                switch outcome {
                case .success(let instance):
                    plan.succeeded(move)
                    events(.moved(instance, done: plan.moved, total: plan.total))
                case .failure(let error):
                    try Task.checkCancellation()
                    let goesOn = plan.failed(move)
                    if !goesOn { result.left += 1 }
                    events(.failed(move, reason: ExitReport(error).message ?? "\(error)", isFinal: !goesOn))
                }
            }
        }
        result.moved = plan.moved
        return result
    }

    private func move(
        _ move: DrainPlan.Move,
        _ events: @escaping @Sendable (DrainEvent) -> Void
    ) async -> Result<Instance, any Error> {
        do {
            let source = onHost(move.instance.host)
            return .success(
                try await source.liveMigrate(InstanceReference(move.instance.uuid), to: move.destination) { _, state in
                    events(.progress(move, state))
                }
            )
        } catch {
            return .failure(error)
        }
    }

    /// The possible destinations with the number of their instances.
    private func load(of wanted: [String], without source: String) async throws -> [String: Int] {
        var load: [String: Int] = [:]
        var names: Set<String> = []
        for host in try await onHost(nil).hosts() {
            guard let name = host["host"]?.stringValue else { continue }
            names.insert(name)
            guard name != source, wanted.isEmpty || wanted.contains(name) else { continue }
            load[name] = Int(host["instances"]?.intValue ?? 0)
        }
        for name in [source] + wanted where !names.contains(name) {
            throw ControlError(.noAnswer, "host \(name) does not answer")
        }
        guard !load.isEmpty else {
            throw ControlError(.usage, "there is no other host than \(source) to move anything to")
        }
        return load
    }
}
