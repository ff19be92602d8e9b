import DiskImages
import Glibc
import HostBackend
import Processes
import QMP
import Support
import Synchronization

/// States on demand. All of it runs in the machine's lane.
extension QEMUMachine {
    /// Goes to the state asked for, or says why not.
    func reach(_ target: TargetState, _ limit: TimeLimit) async throws -> MachineState {
        try await endLingering(limit)
        let present = machineState
        switch (target, present) {
        case (.running, .off): try await powerOn(limit)
        case (.running, .error): try await recover(limit)
        case (.running, .saved): try await restore(limit)
        case (.running, .paused): try await resume(limit)
        case (.off, _): try await powerOff(limit)
        case (.paused, .running): try await pause(limit)
        case (.saved, .running), (.saved, .paused): try await saveMemory(limit)
        // There already: heard from QEMU itself, so that a hung one shows.
        case (.running, .running), (.paused, .paused): try await resynchronise()
        case (.saved, .saved): break
        case (.paused, _): throw refusal("pause")
        case (.saved, _): throw refusal("suspend")
        case (.running, .transitional): throw refusal("start")
        }
        return machineState
    }

    private func powerOn(_ limit: TimeLimit) async throws {
        state.withLock { state in
            // A cold start takes what QEMU offers now; only the machine itself stays as it was made.
            let machineType = state.record.platform.machineType
            state.record.platform = services.platform
            state.record.platform.machineType = machineType
            state.record.task = nil
        }
        try await launch(incoming: false, limit)
        state.withLock { state in
            guard state.record.process != nil, !state.isLingering else { return }
            state.record.state = .running
            post(.started, state)
        }
        await saveIfPossible()
    }

    /// A guest that stopped for want of room goes on; anything else is started afresh.
    private func recover(_ limit: TimeLimit) async throws {
        if let process, services.processes.isAlive(process) {
            if let status = try? await status(), status == "io-error" { return try await resume(limit) }
            state.withLock { $0.ending = .undone }
            guard await end(process, limit) else {
                throw BackendError(.timeout, "the QEMU of machine \(uuid) does not end")
            }
            await conclude(process)
        }
        try await powerOn(limit)
    }

    private func pause(_ limit: TimeLimit) async throws {
        try await changing {
            try await execute("stop", deadline: limit.atMost(settings.commandTimeout))
            try await takeNote(limit, .paused, .paused)
        }
    }

    private func resume(_ limit: TimeLimit) async throws {
        try await changing {
            try await execute("cont", deadline: limit.atMost(settings.commandTimeout))
            try await takeNote(limit, .running, .resumed)
        }
        await returnFiles()
    }

    /// Asks what came of a change, and posts it.
    func takeNote(_ limit: TimeLimit, _ wanted: MachineState, _ event: MachineEvent.Kind) async throws {
        let status = try await status(deadline: limit.atMost(settings.commandTimeout))
        if status == "shutdown" { return guestHasPoweredOff() }
        guard let reached = Self.machineState(status) else { return }
        state.withLock { state in
            guard !state.isLingering, state.record.process != nil, state.record.state != reached else { return }
            state.record.state = reached
            if reached == wanted { post(event, state) }
        }
    }

    /// Runs a change of which QEMU's own reports are no news.
    func changing<Result>(_ body: () async throws -> Result) async throws -> Result {
        state.withLock { $0.isChanging = true }
        defer { state.withLock { $0.isChanging = false } }
        return try await body()
    }

    /// Turns the machine off, whatever state it is in; a suspended one loses its memory.
    func powerOff(_ limit: TimeLimit) async throws {
        if let process {
            state.withLock { $0.ending = .off(.requested) }
            guard await end(process, limit) else {
                state.withLock { $0.ending = nil }
                throw BackendError(.timeout, "the QEMU of machine \(uuid) does not end")
            }
            await conclude(process)
        }
        let wasOff = state.withLock { state in
            if state.record.state == .off, state.record.saved == nil { return true }
            let before = state.record.state
            state.record.state = .off
            state.record.saved = nil
            state.record.task = nil
            if before != .off { post(.stopped(.requested), state) }
            return false
        }
        if wasOff { return }
        try await save()
        try await services.work.run { [files] _ in
            try FileCalls.remove(files.memory)
            try FileCalls.remove(files.partialMemory)
        }
    }

    func reset(_ limit: TimeLimit) async throws -> MachineState {
        try await endLingering(limit)
        guard [.running, .paused].contains(machineState) else { throw refusal("reset") }
        try await execute("system_reset")
        return machineState
    }

    func requestShutdown() async throws -> ShutdownAnswer {
        switch machineState {
        case .running:
            state.withLock { $0.wasAskedToShutDown = true }
            try await execute("system_powerdown")
            return .accepted
        case .paused, .transitional: return .notReady
        case .off, .saved, .error: throw refusal("shut down")
        }
    }
}
