import DiskImages
package import HostBackend
import Processes
import Support
import Synchronization

extension QEMUHost {
    package func hostInfo() async throws -> HostInfo {
        _ = try services()
        guard let facts = inventory.withLock({ $0.facts }) else {
            throw BackendError(.unavailable, "host \(name) is not in service")
        }
        let directory = stateDirectory
        let name = name
        return try await work.run { _ in try facts.hostInfo(name: name, directory: directory) }
    }

    package func machines() async throws -> [MachineSummary] {
        _ = try services()
        return inventory.withLock { Array($0.machines.values) }
            .filter { $0.presence == .here }
            .map { machine in
                let record = machine.record
                return MachineSummary(
                    name: record.spec.name,
                    uuid: machine.uuid,
                    state: record.state,
                    incarnation: machine.incarnation
                )
            }
            .sorted { $0.name < $1.name }
    }

    package func machine(_ uuid: InstanceUUID) async throws -> MachineStatus { status(of: try find(uuid)) }

    package func machineIfKnown(_ uuid: InstanceUUID) -> MachineStatus? { (try? find(uuid)).map { status(of: $0) } }

    /// Reads nothing but the kernel's own figures, which are there at once.
    private func status(of machine: QEMUMachine) -> MachineStatus {
        let record = machine.record
        let memory = UInt64(record.spec.memoryMB) << 10
        let isOn = record.process != nil && record.state != .off
        return MachineStatus(
            uuid: machine.uuid,
            name: record.spec.name,
            state: record.state,
            incarnation: machine.incarnation,
            maxMemoryKB: memory,
            memoryKB: isOn ? memory : 0,
            cpuCount: record.spec.vcpus,
            cpuTimeNanoseconds: isOn ? record.process.flatMap { CPUTime.nanoseconds(of: $0.identity) } : 0,
            hasConsole: true
        )
    }

    package func createMachine(_ spec: MachineSpec) async throws {
        let services = try services()
        try Self.check(spec)
        let machine = QEMUMachine(
            MachineRecord(spec: spec, incarnation: newIncarnation(), platform: services.platform),
            services
        )
        let isNew = try inventory.withLock { state throws(BackendError) in
            if let present = state.machines[spec.uuid] {
                if present.record.spec == spec, present.presence == .here { return false }
                throw BackendError(.alreadyExists, "machine \(spec.uuid) exists already on host \(name)")
            }
            state.machines[spec.uuid] = machine
            return true
        }
        guard isNew else { return }
        do {
            try await machine.createFiles()
        } catch {
            forget(machine)
            throw Self.backendError(error, "creating machine \(spec.uuid)")
        }
    }

    package func deleteMachine(_ uuid: InstanceUUID) async throws {
        guard let present = try findAny(uuid), present.presence == .here else { return }
        let limit = TimeLimit(settings.quitTimeout * 4)
        try await perform("deletion", uuid) { machine in
            try await machine.endLingering(limit)
            try await machine.powerOff(limit)
            // A machine whose QEMU could not be ended is still there, and keeps its files.
            try await machine.removeFiles()
            machine.state.withLock { state in machine.post(.removed, state) }
            await drop(machine)
        }
    }

    package func setState(
        _ uuid: InstanceUUID,
        _ target: TargetState,
        deadline: Duration
    ) async throws -> MachineState {
        let limit = TimeLimit(deadline)
        return try await perform("state \(target.rawValue)", uuid) { try await $0.reach(target, limit) }
    }

    package func reset(_ uuid: InstanceUUID) async throws -> MachineState {
        let limit = TimeLimit(settings.commandTimeout)
        return try await perform("reset", uuid) { try await $0.reset(limit) }
    }

    package func requestShutdown(_ uuid: InstanceUUID, reason: String) async throws -> ShutdownAnswer {
        try await perform("shutdown", uuid) { try await $0.requestShutdown() }
    }

    /// Stops a suspension or an export that is being written, out of its turn.
    package func cancelJobs(_ uuid: InstanceUUID) async throws {
        guard let machine = try? find(uuid) else { return }
        await machine.stopExport()
        guard case .saving = machine.record.task else { return }
        _ = try? await machine.execute("migrate_cancel")
    }

    // MARK: - Definition

    /// The definitions' counter: it only has to grow, also over restarts, so it follows the clock.
    func newIncarnation() -> UInt64 {
        inventory.withLock { state in
            state.lastIncarnation = max(state.lastIncarnation + 1, WallTime.milliseconds)
            return state.lastIncarnation
        }
    }

    /// Ends what goes on for a machine whose files are removed, and forgets it.
    func drop(_ machine: QEMUMachine) async {
        machine.freeze()
        await machine.stopWatching()
        forget(machine)
    }

    func forget(_ machine: QEMUMachine) {
        inventory.withLock { state in
            if state.machines[machine.uuid] === machine { state.machines[machine.uuid] = nil }
        }
    }

    /// What can be refused without looking at anything else.
    static func check(_ spec: MachineSpec) throws(BackendError) {
        let nameIsFine =
            !spec.name.isEmpty && spec.name.utf8.count <= 128 && spec.name.utf8.allSatisfy { $0 >= 0x20 && $0 != 0x7F }
        guard nameIsFine, spec.directory.hasPrefix("/") else {
            throw BackendError(.invalidArgument, "a machine needs a plain name and an absolute directory")
        }
        guard spec.memoryMB > 0, (1...512).contains(spec.vcpus) else {
            throw BackendError(.invalidArgument, "a machine needs memory and 1 to 512 processors")
        }
        guard Set(spec.disks.map(\.address)).count == spec.disks.count else {
            throw BackendError(.invalidArgument, "two disks have the same address")
        }
        guard spec.disks.allSatisfy({ $0.path.hasPrefix("/") && !$0.path.utf8.contains(0) }) else {
            throw BackendError(.invalidArgument, "a disk needs an absolute path")
        }
    }
}
