import HostBackend
import HostConformance
import Support

extension PluginCheck {
    static let life = [
        PluginCheck("at the end of its input the plugin exits and leaves its machines alone", section: "1") { bench in
            let subject = try await PluginSubject(bench)
            let spec = try await subject.newSpec("orphan", bare: false)
            try await subject.host.createMachine(spec)
            _ = try await subject.host.setState(spec.uuid, .running, deadline: ConformanceCheck.limit)
            let (session, _) = try await bench.connection()
            _ = try await session.send("host.info")
            session.closeInput()
            let end = try await session.untilEnd("at the end of its input")
            if case .signalled = end { throw CheckFailure(expected: "an exit", seen: end?.description ?? "") }
            let again = try await PluginSubject(bench)
            try checkEqual(try await again.host.machine(spec.uuid).state, .running, "the machine's state afterwards")
            try await again.host.deleteMachine(spec.uuid)
        },
        PluginCheck(
            "a worker that reads no more does not end it by the broken-pipe signal",
            section: "1",
            shapes: [.child]
        ) { bench in
            let (session, _) = try await bench.fresh()
            await session.stopReading()
            for id in Int64(61)..<64 { try? await session.send(["kind": "ping", "id": .int(id)]) }
            session.closeInput()
            let end = try await session.untilEnd("when nobody reads its output")
            if case .signalled = end { throw CheckFailure(expected: "an exit", seen: end?.description ?? "") }
        },
        PluginCheck("a machine that runs outlives the plugin's being killed", section: "10", shapes: [.child]) {
            bench in
            let subject = try await PluginSubject(bench)
            let spec = try await subject.newSpec("outlives", bare: false)
            try await subject.host.createMachine(spec)
            _ = try await subject.host.setState(spec.uuid, .running, deadline: ConformanceCheck.limit)
            let before = try await subject.host.machine(spec.uuid).incarnation
            try await bench.connection().session.process?.kill()
            // A frame that was cut in the middle is what a kill does.
            await bench.stop()
            _ = bench.takeViolations()
            let again = try await PluginSubject(bench)
            let status = try await again.host.machine(spec.uuid)
            try checkEqual(status.state, .running, "the machine's state afterwards")
            try checkEqual(status.incarnation, before, "its incarnation")
            try await again.host.deleteMachine(spec.uuid)
        },
        PluginCheck(
            "killed at a random point, the plugin finds its machines and goes on",
            section: "10",
            shapes: [.child]
        ) { bench in
            for _ in 0..<bench.settings.killRounds { try await killed(bench) }
        },
    ]

    /// One round: machines come and go, the plugin is killed in the midst of it, and what is there must be usable.
    private static func killed(_ bench: PluginBench) async throws {
        let subject = try await PluginSubject(bench)
        var specs: [MachineSpec] = []
        for number in 0..<3 { specs.append(try await subject.newSpec("killed-\(number)", bare: false)) }
        let process = try await bench.connection().session.process
        await withTaskGroup(of: Void.self) { group in
            for spec in specs {
                group.addTask {
                    // What of this is done when the kill comes is left to chance.
                    try? await subject.host.createMachine(spec)
                    _ = try? await subject.host.setState(spec.uuid, .running, deadline: ConformanceCheck.limit)
                    _ = try? await subject.host.setState(spec.uuid, .off, deadline: ConformanceCheck.limit)
                    try? await subject.host.deleteMachine(spec.uuid)
                }
            }
            try? await Task.sleep(for: .microseconds(Int.random(in: 100...60_000)))
            process?.kill()
        }
        // A frame that was cut in the middle is what a kill does.
        await bench.stop()
        _ = bench.takeViolations()
        let again = try await PluginSubject(bench)
        let listed = try await again.host.machines().compactMap(\.uuid)
        for spec in specs {
            try check(listed.count { $0 == spec.uuid } <= 1, "\(spec.name) listed at most once", seen: "more often")
            if listed.contains(spec.uuid) { _ = try await again.host.machine(spec.uuid) }
            try await again.host.createMachine(spec)
            let state = try await again.host.setState(spec.uuid, .running, deadline: ConformanceCheck.limit)
            try checkEqual(state, .running, "the state reached after a kill")
            try await again.host.deleteMachine(spec.uuid)
        }
        let left = Set(try await again.host.machines().compactMap(\.uuid)).intersection(specs.map(\.uuid))
        try check(left.isEmpty, "none of the machines is left", seen: "\(left.count) are listed")
    }
}
