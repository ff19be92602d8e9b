import HostBackend

extension ConformanceCheck {
    static let lifecycle = [
        ConformanceCheck("a machine is defined off, listed once, and gone after its deletion", section: "7.2") {
            subject in
            let host = subject.host
            let spec = try await subject.newSpec("defined")
            for _ in 1...2 { try await host.createMachine(spec) }
            let status = try await host.machine(spec.uuid)
            try checkEqual(status.state, .off, "the state after the definition")
            try checkEqual(status.name, spec.name, "the name")
            let entries = try await host.machines().filter { $0.uuid == spec.uuid }
            try checkEqual(entries.map(\.name), [spec.name], "entries in the inventory")
            try checkEqual(entries.map(\.state), [.off], "the state in the inventory")
            for _ in 1...2 { try await host.deleteMachine(spec.uuid) }
            try await checkFails(.notFound, what: "machine.get of a deleted machine") {
                _ = try await host.machine(spec.uuid)
            }
            try check(
                try await host.machines().allSatisfy { $0.uuid != spec.uuid },
                "the deleted machine is not listed"
            )
        },
        ConformanceCheck("running and off are reached, and reached again", section: "4") { subject in
            try await subject.withMachine("onoff") { spec in
                for target in [TargetState.running, .running, .off, .off, .running] {
                    try await subject.reach(target, spec)
                }
            }
        },
        ConformanceCheck("a machine that runs can be deleted", section: "7.2") { subject in
            let spec = try await subject.newSpec("running")
            try await subject.host.createMachine(spec)
            try await subject.reach(.running, spec)
            try await subject.host.deleteMachine(spec.uuid)
            try await checkFails(.notFound, what: "machine.get") { _ = try await subject.host.machine(spec.uuid) }
        },
        ConformanceCheck("a machine that is deleted and defined again has a later incarnation", section: "7.2") {
            subject in
            let host = subject.host
            let spec = try await subject.newSpec("again", bare: true)
            try await host.createMachine(spec)
            let first = try await host.machine(spec.uuid).incarnation
            try await host.deleteMachine(spec.uuid)
            try await host.createMachine(spec)
            let second = try await host.machine(spec.uuid).incarnation
            try await host.deleteMachine(spec.uuid)
            // 0 says that the host does not count.
            if first == 0, second == 0 { throw CheckSkipped("the host does not count definitions") }
            try check(second > first, "an incarnation above \(first)", seen: "\(second)")
        },
        ConformanceCheck("many machines are all listed, each once", section: "7.2") { subject in
            let host = subject.host
            var specs: [MachineSpec] = []
            for number in 0..<subject.machineCount {
                specs.append(try await subject.newSpec("many-\(number)", bare: true))
            }
            try await forEach(specs) { try await host.createMachine($0) }
            var counts: [InstanceUUID: Int] = [:]
            for entry in try await host.machines() {
                if let uuid = entry.uuid { counts[uuid, default: 0] += 1 }
            }
            let wrong = specs.filter { counts[$0.uuid] != 1 }
            try await forEach(specs) { try await host.deleteMachine($0.uuid) }
            try check(
                wrong.isEmpty,
                "\(specs.count) machines, each listed once",
                seen: "\(wrong.count) of them are not, as \(wrong.first?.name ?? "")"
            )
            let left = Set(try await host.machines().compactMap(\.uuid)).intersection(specs.map(\.uuid))
            try check(left.isEmpty, "none of them listed after their deletion", seen: "\(left.count) are")
        },
    ]

    /// Runs `body` for each, eight at a time.
    private static func forEach(
        _ specs: [MachineSpec],
        _ body: @escaping @Sendable (MachineSpec) async throws -> Void
    ) async throws {
        try await withThrowingTaskGroup(of: Void.self) { group in
            for (number, spec) in specs.enumerated() {
                if number >= 8 { try await group.next() }
                group.addTask { try await body(spec) }
            }
            try await group.waitForAll()
        }
    }
}
