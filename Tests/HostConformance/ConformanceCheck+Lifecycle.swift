import HostBackend
import TestSupport

extension ConformanceCheck {
    private static let limit = Duration.seconds(60)

    static let lifecycle = [
        ConformanceCheck("a machine is defined off, listed once, and gone after its deletion") { subject in
            let host = subject.host
            let spec = try await subject.newSpec("defined")
            for _ in 1...2 { try await host.createMachine(spec) }
            try checkEqual(try await host.machine(spec.uuid).state, .off, "state after the definition")
            let entries = try await host.machines().filter { $0.uuid == spec.uuid }
            try checkEqual(entries.map(\.name), [spec.name], "entries in the inventory")
            for _ in 1...2 { try await host.deleteMachine(spec.uuid) }
            try await checkFails(.notFound, "status of a deleted machine") { _ = try await host.machine(spec.uuid) }
            try check(try await host.machines().allSatisfy { $0.uuid != spec.uuid }, "still listed")
        },
        ConformanceCheck("another definition under the same uuid is refused") { subject in
            let spec = try await subject.newSpec("twice")
            try await subject.host.createMachine(spec)
            var other = spec
            other.name += "-other"
            other.memoryMB += 64
            try await checkFails(.alreadyExists, "second definition") { try await subject.host.createMachine(other) }
            try await subject.host.deleteMachine(spec.uuid)
        },
        ConformanceCheck("running and off are reached, and reached again") { subject in
            let host = subject.host
            let spec = try await subject.newSpec("onoff")
            try await host.createMachine(spec)
            for target in [TargetState.running, .running, .off, .off, .running] {
                let reached = try await host.setState(spec.uuid, target, deadline: limit)
                try checkEqual(reached, target.state, "state reached")
                try checkEqual(try await host.machine(spec.uuid).state, target.state, "state reported")
            }
            try await host.deleteMachine(spec.uuid)
        },
        ConformanceCheck("a machine that runs can be deleted") { subject in
            let spec = try await subject.newSpec("running")
            try await subject.host.createMachine(spec)
            _ = try await subject.host.setState(spec.uuid, .running, deadline: limit)
            try await subject.host.deleteMachine(spec.uuid)
            try await checkFails(.notFound, "status") { _ = try await subject.host.machine(spec.uuid) }
        },
        ConformanceCheck("pause and unpause", needs: [.pause]) { subject in
            let host = subject.host
            let spec = try await subject.newSpec("pause")
            try await host.createMachine(spec)
            try await checkFails(.invalidState, "pausing a machine that is off") {
                _ = try await host.setState(spec.uuid, .paused, deadline: limit)
            }
            for target in [TargetState.running, .paused, .paused, .running] {
                try checkEqual(
                    try await host.setState(spec.uuid, target, deadline: limit),
                    target.state,
                    "state reached"
                )
            }
            try await host.deleteMachine(spec.uuid)
        },
        ConformanceCheck("save and restore", needs: [.save]) { subject in
            let host = subject.host
            let spec = try await subject.newSpec("save")
            try await host.createMachine(spec)
            for target in [TargetState.running, .saved, .saved, .running, .saved, .off] {
                try checkEqual(
                    try await host.setState(spec.uuid, target, deadline: limit),
                    target.state,
                    "state reached"
                )
            }
            try await host.deleteMachine(spec.uuid)
        },
        ConformanceCheck("primitives on an unknown machine say so") { subject in
            let host = subject.host
            let spec = try await subject.newSpec("unknown")
            try await checkFails(.notFound, "status") { _ = try await host.machine(spec.uuid) }
            try await checkFails(.notFound, "start") {
                _ = try await host.setState(spec.uuid, .running, deadline: limit)
            }
            try await checkFails(.notFound, "console") { _ = try await host.openConsole(spec.uuid) }
            try await host.deleteMachine(spec.uuid)
        },
        ConformanceCheck("events come in order and carry the incarnation", needs: [.events]) { subject in
            let host = subject.host
            let events = host.events()
            let spec = try await subject.newSpec("events")
            try await host.createMachine(spec)
            let incarnation = try await host.machine(spec.uuid).incarnation
            _ = try await host.setState(spec.uuid, .running, deadline: limit)
            _ = try await host.setState(spec.uuid, .off, deadline: limit)
            try await host.deleteMachine(spec.uuid)
            var kinds: [MachineEvent.Kind] = []
            var last: UInt64 = 0
            for await event in events where event.uuid == spec.uuid {
                try check(event.sequence > last, "sequence \(event.sequence) after \(last)")
                try checkEqual(event.incarnation, incarnation, "incarnation")
                last = event.sequence
                kinds.append(event.kind)
                if event.kind == .removed { break }
            }
            try checkEqual(kinds, [.started, .stopped(.requested), .removed], "events")
        },
    ]

    static let restarts = [
        ConformanceCheck("machines outlive their worker") { subject in
            let running = try await subject.newSpec("survives-on")
            let off = try await subject.newSpec("survives-off")
            for spec in [running, off] { try await subject.host.createMachine(spec) }
            _ = try await subject.host.setState(running.uuid, .running, deadline: limit)
            let incarnation = try await subject.host.machine(running.uuid).incarnation
            let again = try await subject.restart()
            try checkEqual(try await again.host.machine(running.uuid).state, .running, "state after the restart")
            try checkEqual(try await again.host.machine(off.uuid).state, .off, "state after the restart")
            try checkEqual(try await again.host.machine(running.uuid).incarnation, incarnation, "incarnation")
            try await again.host.createMachine(off)
            for spec in [running, off] { try await again.host.deleteMachine(spec.uuid) }
        }
    ]
}
