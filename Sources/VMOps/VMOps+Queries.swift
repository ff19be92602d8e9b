package import HostBackend
package import Support

/// Reads: they take no lane and answer while operations are in progress.
extension VMOps {
    /// The answer to `get_info`. Throws `InstanceNotFound`.
    package func info(_ uuid: InstanceUUID) async throws -> InstanceInfo {
        let instance = try existing(uuid)
        do {
            return makeInfo(instance, try await machine(uuid))
        } catch {
            throw OperationError(error, failure: .novaException, instance: uuid.text, host: host)
        }
    }

    /// The same without waiting, when the backend knows the machine at once; else `nil`.
    package func infoIfKnown(_ uuid: InstanceUUID) throws -> InstanceInfo? {
        let instance = try existing(uuid)
        guard let machine = backend.machineIfKnown(uuid) else { return nil }
        return makeInfo(instance, machine)
    }

    /// The infos of all instances; one that vanishes meanwhile is left out.
    package func allInfos() async throws -> [InstanceInfo] {
        var infos: [InstanceInfo] = []
        for instance in allInstances where !instance.isGone {
            infos.append(makeInfo(instance, try? await machine(instance.uuid)))
        }
        return infos.sorted { $0.name < $1.name }
    }

    func makeInfo(_ instance: Instance, _ machine: MachineStatus?) -> InstanceInfo {
        instance.read { record, activity in
            let state = machine?.state ?? (record.complete ? .error : .off)
            let transition = activity?.state ?? (record.move?.role == .arriving ? .migratingIn : nil)
            var info = InstanceInfo(
                uuid: record.uuid,
                name: record.name,
                host: host,
                state: transition?.rawValue ?? state.clientName,
                powerState: powerState(transition, record: record, machine: machine),
                task: activity?.operation,
                memoryMB: record.memoryMB,
                vcpus: record.vcpus,
                rootGB: record.rootGB,
                imageRef: record.imageRef,
                metadata: record.metadata,
                createdAt: record.createdAt,
                machine: machine,
                migration: activity?.migration
            )
            switch record.move?.role {
            case .resized: info.resize = .unconfirmed
            case .confirming: info.resize = .confirming
            case .reverting: info.resize = .reverting
            default: break
            }
            return info
        }
    }

    /// Intermediate states are RUNNING, except those in which the machine is not yet or no longer ours to speak of.
    private func powerState(_ transition: TransitionalState?, record: InstanceRecord, machine: MachineStatus?) -> Int {
        switch transition {
        case .building, .migratingIn: return 0
        case .deleting: return record.state.novaPowerState
        case .starting, .stopping, .rebooting, .pausing, .resuming, .saving, .migratingOut, .resizing: return 1
        case nil:
            guard let machine else { return record.complete ? 6 : 0 }
            return machine.state.novaPowerState
        }
    }

    /// Names of all realized machines, foreign ones too.
    package func listInstances() async throws -> [String] {
        try await inventory().map(\.name)
    }

    /// UUIDs of the machines that carry one.
    package func listInstanceUUIDs() async throws -> [InstanceUUID] {
        try await inventory().compactMap(\.uuid)
    }

    private func inventory() async throws -> [MachineSummary] {
        do {
            return try await backend.machines()
        } catch {
            throw OperationError(error, failure: .novaException, instance: nil, host: host)
        }
    }

    /// Finds an instance by uuid or name among this host's own.
    package func find(_ identifier: String) -> InstanceUUID? {
        if let uuid = InstanceUUID(identifier), instance(uuid) != nil { return uuid }
        return allInstances.first { $0.record.name == identifier && !$0.isGone }?.uuid
    }

    package func hostInfo() async throws -> HostInfo {
        do {
            return try await backend.hostInfo()
        } catch {
            throw OperationError(error, failure: .novaException, instance: nil, host: host)
        }
    }

    /// How many instances there are, and how many operations are in progress.
    package var load: (instances: Int, operations: Int) {
        let all = allInstances
        return (all.count, all.count { $0.lane.isBusy })
    }

    /// What this host's instances have been promised of it, whether they run or not.
    package var commitments: Commitments {
        var sum = Commitments()
        for instance in allInstances where !instance.isGone {
            instance.read { record, activity in
                sum.instances += 1
                sum.running += record.state == .running ? 1 : 0
                sum.operations += activity == nil ? 0 : 1
                sum.vcpus += record.vcpus
                sum.memoryMB += record.memoryMB
                sum.diskGB += record.rootGB + record.ephemeralGB.reduce(0, +)
            }
        }
        return sum
    }

    package func diagnostics(_ uuid: InstanceUUID) async throws -> JSONObject {
        _ = try existing(uuid)
        do {
            return try await backend.diagnostics(uuid)
        } catch {
            throw OperationError(error, failure: .novaException, instance: uuid.text, host: host)
        }
    }
}
