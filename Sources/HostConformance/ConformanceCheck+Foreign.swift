import HostBackend

extension ConformanceCheck {
    static let foreigners = [
        ConformanceCheck("a machine that is not ours is listed without a uuid, and left alone", section: "7") {
            subject in
            guard let foreign = subject.foreign else { throw CheckSkipped("no machine of somebody else's was named") }
            let before = try await entry(foreign, subject)
            if let uuid = foreign.uuid { try await tryEverything(uuid, subject) }
            // On some hypervisors two machines may have one name, on others not.
            var spec = try await subject.newSpec("foreign", bare: true)
            spec.name = foreign.name
            do {
                try await subject.host.createMachine(spec)
            } catch let error as BackendError {
                let isRefused = [.conflict, .alreadyExists].contains(error.code)
                try check(isRefused, "conflict or already_exists for the name of a foreign machine", seen: "\(error)")
            }
            try await subject.host.deleteMachine(spec.uuid)
            let after = try await entry(foreign, subject)
            try checkEqual(after.state, before.state, "the foreign machine's state afterwards")
        }
    ]

    /// Its line of the inventory.
    private static func entry(_ foreign: ForeignMachine, _ subject: any ConformanceSubject) async throws
        -> MachineSummary
    {
        let entries = try await subject.host.machines().filter { $0.name == foreign.name }
        try checkEqual(entries.map(\.uuid), [nil], "the uuids of the machines called \(foreign.name)")
        guard let entry = entries.first else {
            throw CheckFailure(expected: "\(foreign.name) in the inventory", seen: "it is not listed")
        }
        return entry
    }

    /// What a worker could ask for if an instance had the uuid by chance.
    private static func tryEverything(_ uuid: InstanceUUID, _ subject: any ConformanceSubject) async throws {
        let host = subject.host
        try await checkFails(.notFound, .conflict, what: "machine.get of a foreign machine") {
            _ = try await host.machine(uuid)
        }
        for target in [TargetState.off, .running] {
            try await checkFails(.notFound, .conflict, what: "\(target.rawValue) for a foreign machine") {
                _ = try await host.setState(uuid, target, deadline: limit)
            }
        }
        var spec = try await subject.newSpec("foreign", bare: true)
        spec.uuid = uuid
        try await checkFails(.alreadyExists, .conflict, what: "machine.create with a foreign machine's uuid") {
            try await host.createMachine(spec)
        }
        do {
            // There is none of ours: nothing is to be done, or it is refused.
            try await host.deleteMachine(uuid)
        } catch let error as BackendError {
            try checkEqual(error.code, .conflict, "the error of deleting a foreign machine")
        }
    }
}
