import HostBackend

extension ConformanceCheck {
    static let errors = [
        ConformanceCheck("another definition under the same uuid is refused", section: "5") { subject in
            try await subject.withMachine("twice", bare: true) { spec in
                var other = spec
                other.name += "-other"
                other.memoryMB += 64
                try await checkFails(.alreadyExists, what: "a second definition") {
                    try await subject.host.createMachine(other)
                }
                try checkEqual(try await subject.host.machine(spec.uuid).name, spec.name, "the machine's name")
            }
        },
        ConformanceCheck("primitives on an unknown machine say so", section: "5") { subject in
            let host = subject.host
            let flags = host.capabilities.flags
            let spec = try await subject.newSpec("unknown", bare: true)
            try await checkFails(.notFound, what: "machine.get") { _ = try await host.machine(spec.uuid) }
            for target in [TargetState.running, .off] {
                try await checkFails(.notFound, what: "machine.setState to \(target.rawValue)") {
                    _ = try await host.setState(spec.uuid, target, deadline: limit)
                }
            }
            if flags.contains(.reset) {
                try await checkFails(.notFound, what: "machine.reset") { _ = try await host.reset(spec.uuid) }
            }
            if flags.contains(.softShutdown) {
                try await checkFails(.notFound, what: "machine.requestShutdown") {
                    _ = try await host.requestShutdown(spec.uuid, reason: "test")
                }
            }
            if flags.contains(.consoleOutput) {
                try await checkFails(.notFound, what: "console.open") { _ = try await host.openConsole(spec.uuid) }
            }
            if flags.contains(.diagnostics) {
                try await checkFails(.notFound, what: "machine.diagnostics") {
                    _ = try await host.diagnostics(spec.uuid)
                }
            }
            try await host.deleteMachine(spec.uuid)
        },
        ConformanceCheck("an unknown image is not found, a bad reference refused", section: "7.3") { subject in
            try await checkFails(.notFound, what: "an unknown image") {
                _ = try await subject.host.image("no-such-image")
            }
            try await checkFails(.invalidArgument, .notFound, what: "the reference ../../etc") {
                _ = try await subject.host.image("../../etc")
            }
        },
    ]

    /// What is stopped in the middle leaves a machine of which the state can be read and changed.
    static let interruptions = [
        ConformanceCheck("a start that is cancelled at any point leaves a machine that works", section: "4") {
            subject in
            let host = subject.host
            try await subject.withMachine("cancelled") { spec in
                for delay in cancelDelays {
                    await interrupted(after: delay) {
                        _ = try await host.setState(spec.uuid, .running, deadline: limit)
                    }
                    try await settles(spec, host)
                    try await subject.reach(.off, spec)
                }
                try await subject.reach(.running, spec)
            }
        },
        ConformanceCheck("a definition that is cancelled at any point can be made again", section: "4") { subject in
            let host = subject.host
            for delay in cancelDelays {
                let spec = try await subject.newSpec("half-made")
                await interrupted(after: delay) { try await host.createMachine(spec) }
                try await host.createMachine(spec)
                try checkEqual(try await host.machine(spec.uuid).state, .off, "the state after the definition")
                await interrupted(after: delay) { try await host.deleteMachine(spec.uuid) }
                try await host.deleteMachine(spec.uuid)
                try check(
                    try await host.machines().allSatisfy { $0.uuid != spec.uuid },
                    "the deleted machine is not listed"
                )
            }
        },
        ConformanceCheck("a deadline that cannot be met leaves a machine that works", section: "4") { subject in
            let host = subject.host
            try await subject.withMachine("hurried") { spec in
                // Reached in time, or given up: what counts is what is left.
                _ = try? await host.setState(spec.uuid, .running, deadline: .milliseconds(1))
                try await settles(spec, host)
                try await subject.reach(.running, spec)
            }
        },
    ]

    /// At once, and then at points that differ from run to run.
    private static var cancelDelays: [Duration] {
        [.zero] + (0..<3).map { _ in .microseconds(Int.random(in: 100...30_000)) }
    }

    /// Runs `body` and cancels it after a while; what comes of it is not known, which is the point.
    private static func interrupted(
        after delay: Duration,
        _ body: @escaping @Sendable () async throws -> Void
    ) async {
        await withTaskGroup(of: Void.self) { group in
            group.addTask { try? await body() }
            try? await Task.sleep(for: delay)
            group.cancelAll()
        }
    }

    private static func settles(_ spec: MachineSpec, _ host: any HostBackend) async throws {
        try await waitUntil("the machine is in a state that lasts", limit: limit) {
            let state = try await host.machine(spec.uuid).state
            return state == .off || state == .running
        }
    }
}
