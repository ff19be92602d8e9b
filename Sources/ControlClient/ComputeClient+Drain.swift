import Support

/// What happens while a host is drained.
package enum DrainEvent: Sendable {
    case started(DrainPlan.Move)
    case progress(DrainPlan.Move, MigrationState)
    case moved(Instance, done: Int, total: Int)
    /// One try failed; `isFinal` = no other destination is left.
    case failed(DrainPlan.Move, reason: String, isFinal: Bool)
    /// Cannot move in its state.
    case left(Instance, reason: String)
}

/// How a drain ended.
package struct DrainResult: Sendable, Hashable {
    /// What stayed, and why.
    package struct Left: Sendable, Hashable {
        package let instance: Instance
        package let reason: String
    }

    /// How many are elsewhere now.
    package var moved = 0
    package var left: [Left] = []
}

extension ComputeClient {
    /// Moves everything on `source` to other hosts, several at once: what runs or is paused while it does, what is off by
    /// a cold migration that is confirmed at once. One failure does not stop the others; cancelling waits for nothing:
    /// moves that have begun go on.
    ///
    /// - Parameters:
    ///   - destinations: where to; empty = every other host that answers.
    ///   - parallel: how many moves at once.
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
        var movable: [Instance] = []
        for instance in instances {
            switch DrainStep(instance) {
            case .live, .cold: movable.append(instance)
            case .stay(let reason):
                events(.left(instance, reason: reason))
                result.left.append(.init(instance: instance, reason: reason))
            }
        }
        var plan = DrainPlan(movable, destinations: load, parallel: parallel)
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
                    let reason = ExitReport(error).message ?? "\(error)"
                    let goesOn = plan.failed(move, isFinal: error is StaysError)
                    if !goesOn { result.left.append(.init(instance: move.instance, reason: reason)) }
                    events(.failed(move, reason: reason, isFinal: !goesOn))
                }
            }
        }
        result.moved = plan.moved
        return result
    }

    /// No other destination would help.
    private struct StaysError: Error, CustomStringConvertible {
        let description: String
    }

    private func move(
        _ move: DrainPlan.Move,
        _ events: @escaping @Sendable (DrainEvent) -> Void
    ) async -> Result<Instance, any Error> {
        do {
            let source = onHost(move.instance.host)
            // It may have been turned on or off since it was listed: what runs is not to be turned off for this.
            let present = try await source.find(InstanceReference(move.instance.uuid))
            switch DrainStep(present) {
            case .stay(let reason): throw StaysError(description: reason)
            case .live:
                let args: JSONObject = ["dest": .string(move.destination)]
                return .success(
                    try await source.watching(present, "live_migration", args) { _, state in
                        events(.progress(move, state))
                    }
                )
            case .cold:
                let args: JSONObject = ["dest": .string(move.destination)]
                let there = try await source.watching(present, "resize_instance", args) { _, state in
                    events(.progress(move, state))
                }
                return .success(try await confirm(there, at: move.destination))
            }
        } catch {
            return .failure(error)
        }
    }

    /// Lets go of what the old host keeps for a way back.
    private func confirm(_ instance: Instance, at host: String) async throws -> Instance {
        do {
            let args: JSONObject = ["instance": instance.argument]
            return try Instance(try await operate(host, "confirm_resize", args, times.operation))
        } catch {
            try Task.checkCancellation()
            let reason = ExitReport(error).message ?? "\(error)"
            throw StaysError(description: "it is on \(host), but the move could not be confirmed: \(reason)")
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

/// What a drain does with an instance.
enum DrainStep: Hashable {
    case live
    /// It is off: with its disks, and at once confirmed.
    case cold
    case stay(reason: String)

    init(_ instance: Instance) {
        if let phase = instance.info["resize"]?.stringValue {
            self = .stay(reason: "a resize of it is \(phase): confirm or revert it first")
            return
        }
        switch instance.state {
        case "running", "paused": self = .live
        case "off": self = .cold
        case "suspended":
            // Its memory is in a file that only this host can go on from.
            self = .stay(reason: "it is suspended: resume it first, or power it off, which loses its memory")
        case "error": self = .stay(reason: "it is in state error: reboot it hard or power it off first")
        default: self = .stay(reason: "it is \(instance.state)")
        }
    }
}
