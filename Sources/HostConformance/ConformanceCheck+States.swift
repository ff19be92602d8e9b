import HostBackend

extension ConformanceCheck {
    static let states = [
        ConformanceCheck("from off a machine gets to running only", section: "7.2", needs: [.pause, .save]) { subject in
            try await subject.withMachine("table-off") { spec in
                for target in [TargetState.paused, .saved] { try await refuses(target, spec, subject) }
                try await subject.reach(.running, spec)
            }
        },
        ConformanceCheck("pause: from running, to running and to off", section: "7.2", needs: [.pause]) { subject in
            try await subject.withMachine("table-paused") { spec in
                try await refuses(.paused, spec, subject)
                for target in [TargetState.running, .paused, .paused, .running, .paused, .off] {
                    try await subject.reach(target, spec)
                }
            }
        },
        ConformanceCheck("save: from running, to running and to off", section: "7.2", needs: [.save]) { subject in
            try await subject.withMachine("table-saved") { spec in
                try await refuses(.saved, spec, subject)
                for target in [TargetState.running, .saved, .saved, .running, .saved, .off] {
                    try await subject.reach(target, spec)
                }
            }
        },
        ConformanceCheck("a saved machine is not paused", section: "7.2", needs: [.pause, .save]) { subject in
            try await subject.withRunning("table-both") { spec in
                try await subject.reach(.saved, spec)
                try await refuses(.paused, spec, subject)
            }
        },
        ConformanceCheck("a machine that is paused or saved can be deleted", section: "7.2") { subject in
            let host = subject.host
            for (target, capability) in [(TargetState.paused, Capability.pause), (.saved, .save)]
            where host.capabilities.has(capability) {
                let spec = try await subject.newSpec("gone-\(target.rawValue)")
                try await host.createMachine(spec)
                try await subject.reach(.running, spec)
                try await subject.reach(target, spec)
                try await host.deleteMachine(spec.uuid)
                try await checkFails(.notFound, what: "machine.get") { _ = try await host.machine(spec.uuid) }
            }
        },
    ]

    private static func refuses(
        _ target: TargetState,
        _ spec: MachineSpec,
        _ subject: any ConformanceSubject
    ) async throws {
        let before = try await subject.host.machine(spec.uuid).state
        try await checkFails(.invalidState, what: "\(target.rawValue) from \(before.rawValue)") {
            _ = try await subject.host.setState(spec.uuid, target, deadline: limit)
        }
        try checkEqual(try await subject.host.machine(spec.uuid).state, before, "the state after the refusal")
    }
}
