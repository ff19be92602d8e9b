import HostBackend

extension ConformanceCheck {
    static let restarts = [
        ConformanceCheck("machines outlive their worker", section: "10") { subject in
            let running = try await subject.newSpec("survives-on")
            let off = try await subject.newSpec("survives-off")
            for spec in [running, off] { try await subject.host.createMachine(spec) }
            try await subject.reach(.running, running)
            let incarnation = try await subject.host.machine(running.uuid).incarnation
            let again = try await subject.restart()
            try checkEqual(try await again.host.machine(running.uuid).state, .running, "the state after the restart")
            try checkEqual(try await again.host.machine(off.uuid).state, .off, "the state after the restart")
            try checkEqual(try await again.host.machine(running.uuid).incarnation, incarnation, "the incarnation")
            let listed = Set(try await again.host.machines().compactMap(\.uuid))
            try check(listed.isSuperset(of: [running.uuid, off.uuid]), "both machines are in the inventory")
            try await again.host.createMachine(off)
            for spec in [running, off] { try await again.host.deleteMachine(spec.uuid) }
        }
    ]
}
