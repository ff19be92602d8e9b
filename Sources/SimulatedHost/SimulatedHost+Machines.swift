import DiskImages
package import HostBackend
package import Support
import Synchronization

extension SimulatedHost {
    /// Processors that guests may have for each one of the host's.
    private static let vcpuOvercommit = 16

    package func hostInfo() async throws -> HostInfo {
        try await perform(.hostInfo) {
            let used = inventory.withLock { Self.used($0) }
            return HostInfo(
                vcpus: settings.vcpus,
                memoryMB: settings.memoryMB,
                memoryUsedMB: used.memoryMB,
                diskGB: settings.diskGB,
                diskUsedGB: used.diskGB,
                hypervisorType: "simulated",
                hypervisorVersion: 1000,
                hypervisorHostname: name,
                cpuArchitecture: "x86_64",
                cpuModel: "Simulated",
                cpuVendor: "vmops",
                cpuSockets: 1,
                cpuCores: settings.vcpus,
                cpuThreads: 1,
                cpuFeatures: []
            )
        }
    }

    package func machines() async throws -> [MachineSummary] {
        try await perform(.machines) {
            let own = inventory.withLock { Array($0.machines.values) }
            let summaries = own.compactMap { machine in
                machine.read { state, _ in
                    state.phase == .realized
                        ? MachineSummary(
                            name: state.spec.name,
                            uuid: machine.uuid,
                            state: state.guest.machineState,
                            incarnation: machine.incarnation
                        ) : nil
                }
            }
            let foreign = settings.foreignMachines.map { MachineSummary(name: $0, uuid: nil, state: .running) }
            return summaries.sorted { $0.name < $1.name } + foreign
        }
    }

    package func machine(_ uuid: InstanceUUID) async throws -> MachineStatus {
        try await perform(.machine, uuid) { status(of: try find(uuid)) }
    }

    package func machineIfKnown(_ uuid: InstanceUUID) -> MachineStatus? {
        guard let machine = machine(inAnyPhase: uuid) else { return nil }
        return machine.read { state, now in
            state.isInService ? Self.status(of: machine, state, now) : nil
        }
    }

    private func status(of machine: SimulatedMachine) -> MachineStatus {
        machine.read { state, now in Self.status(of: machine, state, now) }
    }

    private static func status(
        of machine: SimulatedMachine,
        _ state: borrowing SimulatedMachine.State,
        _ now: UInt64
    ) -> MachineStatus {
        let uses = state.guest.isConsoleUp
        return MachineStatus(
            uuid: machine.uuid,
            name: state.spec.name,
            state: state.guest.machineState,
            incarnation: machine.incarnation,
            maxMemoryKB: UInt64(state.spec.memoryMB) << 10,
            memoryKB: uses ? UInt64(state.spec.startupMemoryMB) << 10 : 0,
            cpuCount: state.spec.vcpus,
            // A guest that mostly waits: a fiftieth of its time.
            cpuTimeNanoseconds: state.guest.uptime(at: now) / 50,
            hasConsole: true
        )
    }

    package func createMachine(_ spec: MachineSpec) async throws {
        try await perform(.createMachine, spec.uuid, metadata: spec.metadata) {
            let machine = try await define(spec, phase: .realized, migration: nil)
            if let machine { start(machine) }
        }
    }

    package func deleteMachine(_ uuid: InstanceUUID) async throws {
        try await perform(.deleteMachine, uuid) {
            guard let machine = machine(inAnyPhase: uuid) else { return }
            try machine.update { state, now throws(BackendError) in state.guest.powerOff(at: now, .requested) }
            try await machine.removeFile()
            try machine.update { state, _ throws(BackendError) in state.guest.happened.append(.removed) }
            forget(machine)
        }
    }

    package func setState(
        _ uuid: InstanceUUID,
        _ target: TargetState,
        deadline: Duration
    ) async throws -> MachineState {
        try await perform(.setState, uuid, deadline: deadline) {
            if target == .paused { try require(.pause, "pause") }
            if target == .saved { try require(.save, "suspend") }
            let machine = try find(uuid)
            let reached = try machine.update { state, now throws(BackendError) in
                try state.reach(target, now)
                return state.guest.machineState
            }
            try await machine.save()
            return reached
        }
    }

    package func reset(_ uuid: InstanceUUID) async throws -> MachineState {
        try await perform(.reset, uuid) {
            try require(.reset, "reset")
            let machine = try find(uuid)
            let reached = try machine.update { state, now throws(BackendError) in
                guard state.guest.isConsoleUp else { throw state.refusal("reset") }
                state.guest.reset(at: now)
                return state.guest.machineState
            }
            try await machine.save()
            return reached
        }
    }

    package func requestShutdown(_ uuid: InstanceUUID, reason: String) async throws -> ShutdownAnswer {
        try await perform(.requestShutdown, uuid) {
            guard capabilities.has(.softShutdown) else { return .unsupported }
            let machine = try find(uuid)
            let answer = try machine.update { state, now throws(BackendError) in
                switch state.guest.power {
                case .running: return state.guest.requestShutdown(at: now)
                case .paused: return .notReady
                case .off, .saved, .error: throw state.refusal("shut down")
                }
            }
            try await machine.save()
            return answer
        }
    }

    package func cancelJobs(_ uuid: InstanceUUID) async throws {
        try await perform(.cancelJobs, uuid) {
            inventory.withLock { $0.departures[uuid] }?.cancel()
        }
    }

    package func diagnostics(_ uuid: InstanceUUID) async throws -> JSONObject {
        try await perform(.diagnostics, uuid) {
            try require(.diagnostics, "diagnostics")
            return try find(uuid).read { state, now in
                func number(_ value: UInt64) -> JSONValue { .int(Int64(clamping: value)) }
                return [
                    "state": .string(state.guest.machineState.rawValue),
                    "uptime_ms": number(state.guest.uptime(at: now) / 1_000_000),
                    "boots": number(state.guest.boots),
                    "lines": number(state.guest.ticks),
                    "console": [
                        "open": .bool(state.pipe != nil),
                        "buffered_bytes": .int(Int64(state.guest.output.count)),
                        "printed_bytes": number(state.guest.output.printed),
                        "dropped_bytes": number(state.guest.output.dropped),
                    ],
                ]
            }
        }
    }

    // MARK: - Definition

    /// Enters a machine into the inventory and writes its file.
    ///
    /// - Returns: the machine, not started yet; `nil` when it is there already, just so.
    func define(
        _ spec: MachineSpec,
        phase: SimulatedMachine.Phase,
        migration: String?
    ) async throws -> SimulatedMachine? {
        let behaviour = try check(spec)
        let plan = try FaultPlan(metadata: spec.metadata)
        let diskGB = migration == nil ? try await disks.totalGB(of: spec.disks) : 0
        let machine = makeMachine(
            SimulatedMachine.State(
                phase: .creating,
                spec: spec,
                guest: Guest(name: spec.name, behaviour: behaviour, bufferLimit: settings.consoleBufferBytes),
                diskGB: diskGB,
                migration: migration
            ),
            newIncarnation()
        )
        let isNew = try inventory.withLock { state throws(BackendError) in
            if let present = state.machines[spec.uuid] {
                let isSame = present.read { other, _ in
                    other.spec == spec && other.phase == phase && other.migration == migration
                }
                if isSame { return false }
                throw BackendError(.alreadyExists, "machine \(spec.uuid) exists already on host \(name)")
            }
            try checkRoom(state, spec, diskGB)
            state.machines[spec.uuid] = machine
            state.plans[spec.uuid] = plan
            return true
        }
        guard isNew else { return nil }
        do {
            try machine.update { state, _ throws(BackendError) in state.phase = phase }
            try await machine.save()
        } catch {
            try? await machine.removeFile()
            forget(machine)
            throw error
        }
        return machine
    }

    /// What can be refused without looking at anything else.
    func check(_ spec: MachineSpec) throws(BackendError) -> GuestBehaviour {
        let nameIsFine =
            !spec.name.isEmpty && spec.name.utf8.count <= 128 && spec.name.utf8.allSatisfy { $0 >= 0x20 && $0 != 0x7F }
        guard nameIsFine, spec.directory.hasPrefix("/") else {
            throw BackendError(.invalidArgument, "a machine needs a plain name and an absolute directory")
        }
        guard spec.memoryMB > 0, spec.vcpus > 0, (1...spec.memoryMB).contains(spec.startupMemoryMB) else {
            throw BackendError(.invalidArgument, "a machine needs memory and processors")
        }
        guard Set(spec.disks.map(\.address)).count == spec.disks.count else {
            throw BackendError(.invalidArgument, "two disks have the same address")
        }
        return try settings.guest.applying(spec.metadata)
    }

    private static func used(_ state: borrowing State) -> (vcpus: Int, memoryMB: Int, diskGB: Int) {
        state.machines.values.reduce(into: (0, 0, 0)) { sum, machine in
            let (spec, diskGB, phase) = machine.read { state, _ in (state.spec, state.diskGB, state.phase) }
            if phase == .departed { return }
            sum.0 += spec.vcpus
            sum.1 += spec.memoryMB
            sum.2 += diskGB
        }
    }

    func checkRoom(_ state: borrowing State, _ spec: MachineSpec, _ diskGB: Int) throws(BackendError) {
        let used = Self.used(state)
        func check(_ what: String, _ needed: Int, _ used: Int, _ all: Int) throws(BackendError) {
            guard needed > all - used else { return }
            throw BackendError(
                .resourceExhausted,
                "host \(name) has \(max(0, all - used)) of \(all) \(what) left, machine \(spec.name) needs \(needed)"
            )
        }
        try check("processors", spec.vcpus, used.vcpus, settings.vcpus * Self.vcpuOvercommit)
        try check("MB of memory", spec.memoryMB, used.memoryMB, settings.memoryMB)
        try check("GB of disk", diskGB, used.diskGB, settings.diskGB)
    }
}

extension SimulatedMachine.State {
    /// Goes to the state asked for, or says why not.
    fileprivate mutating func reach(_ target: TargetState, _ now: UInt64) throws(BackendError) {
        switch (target, guest.power) {
        case (.running, _): guest.powerOn(at: now)
        case (.off, _): guest.powerOff(at: now, .requested)
        case (.paused, .running), (.paused, .paused): guest.pause(at: now)
        case (.saved, .running), (.saved, .paused), (.saved, .saved): guest.save(at: now)
        case (.paused, _): throw refusal("pause")
        case (.saved, _): throw refusal("suspend")
        }
    }

    func refusal(_ what: String) -> BackendError {
        BackendError(.invalidState, "cannot \(what) machine \(spec.uuid), which is \(guest.machineState.rawValue)")
    }
}
