import HostBackend

extension ConformanceCheck {
    static let events = [
        ConformanceCheck("events come in order and carry the incarnation", section: "8", needs: [.events]) { subject in
            let host = subject.host
            let events = host.events()
            let spec = try await subject.newSpec("events")
            try await host.createMachine(spec)
            let incarnation = try await host.machine(spec.uuid).incarnation
            try await subject.reach(.running, spec)
            try await subject.reach(.off, spec)
            try await host.deleteMachine(spec.uuid)
            let seen = try await collect(events, of: spec.uuid) { $0.kind == .removed }
            try checkEqual(names(seen), "started, stopped (requested), removed", "the events")
            for event in seen { try checkEqual(event.incarnation, incarnation, "the incarnation of \(event.kind)") }
            for (before, after) in zip(seen, seen.dropFirst()) {
                try check(
                    after.sequence > before.sequence,
                    "a growing seq",
                    seen: "\(after.sequence) after \(before.sequence)"
                )
            }
        },
        ConformanceCheck("pausing and resuming are reported", section: "8", needs: [.events, .pause]) { subject in
            let host = subject.host
            let events = host.events()
            let spec = try await subject.newSpec("events-pause")
            try await host.createMachine(spec)
            for target in [TargetState.running, .paused, .running] { try await subject.reach(target, spec) }
            try await host.deleteMachine(spec.uuid)
            let seen = try await collect(events, of: spec.uuid) { $0.kind == .removed }
            try checkEqual(names(Array(seen.prefix(3))), "started, paused, resumed", "the events")
        },
    ]

    private static func names(_ events: [MachineEvent]) -> String {
        let names = events.map { event in
            if case .stopped(let reason) = event.kind { "stopped (\(reason.rawValue))" } else { "\(event.kind)" }
        }
        return names.isEmpty ? "none" : names.joined(separator: ", ")
    }

    /// The machine's events, until one that `isLast`; what came till then when none does.
    private static func collect(
        _ events: AsyncStream<MachineEvent>,
        of uuid: InstanceUUID,
        until isLast: @escaping @Sendable (MachineEvent) -> Bool
    ) async throws -> [MachineEvent] {
        try await withThrowingTaskGroup(of: [MachineEvent]?.self) { group in
            group.addTask {
                var seen: [MachineEvent] = []
                for await event in events where event.uuid == uuid {
                    seen.append(event)
                    if isLast(event) { break }
                }
                return seen
            }
            group.addTask {
                try? await Task.sleep(for: .seconds(20))
                return nil
            }
            // The reader ends when it is cancelled, and says what it has.
            var seen = try await group.next() ?? nil
            group.cancelAll()
            while seen == nil, let next = try await group.next() { seen = next }
            return seen ?? []
        }
    }
}
