import Console
package import HostBackend

/// Power states (VM operations, sections 5.2 and 6.10 to 6.14).
extension VMOps {
    package func powerOn(_ uuid: InstanceUUID, _ context: OperationContext) async throws -> InstanceInfo {
        let kind = OperationKind(name: "power_on", state: .starting, failure: .instancePowerOnFailure)
        return try await changeState(.powerOn, kind, uuid, context)
    }

    /// - Parameters:
    ///   - timeout: how long the guest may take to shut itself down; zero or less = turn it off at once.
    ///   - interval: how often it is asked; zero or less = 5 s.
    package func powerOff(
        _ uuid: InstanceUUID,
        timeout: Duration,
        interval: Duration,
        _ context: OperationContext
    ) async throws -> InstanceInfo {
        let soft = timeout > .zero
        let kind = OperationKind(
            name: "power_off",
            state: .stopping,
            failure: .instancePowerOffFailure,
            impatient: !soft
        )
        let budget = ShutdownBudget(timeout: timeout, interval: interval)
        return try await changeState(soft ? .powerOffSoft : .powerOffHard, kind, uuid, context, budget)
    }

    package func reboot(_ uuid: InstanceUUID, soft: Bool, _ context: OperationContext) async throws -> InstanceInfo {
        let kind = OperationKind(name: "reboot", state: .rebooting, failure: .instanceRebootFailure)
        let settings = settings
        let budget = ShutdownBudget(timeout: settings.softRebootTimeout, interval: settings.softRebootInterval)
        return try await changeState(soft ? .rebootSoft : .rebootHard, kind, uuid, context, budget)
    }

    package func pause(_ uuid: InstanceUUID, _ context: OperationContext) async throws -> InstanceInfo {
        let kind = OperationKind(name: "pause", state: .pausing, failure: .novaException)
        return try await changeState(.pause, kind, uuid, context)
    }

    package func unpause(_ uuid: InstanceUUID, _ context: OperationContext) async throws -> InstanceInfo {
        let kind = OperationKind(name: "unpause", state: .resuming, failure: .novaException)
        return try await changeState(.unpause, kind, uuid, context)
    }

    package func suspend(_ uuid: InstanceUUID, _ context: OperationContext) async throws -> InstanceInfo {
        let kind = OperationKind(name: "suspend", state: .saving, failure: .instanceSuspendFailure)
        return try await changeState(.suspend, kind, uuid, context)
    }

    package func resume(_ uuid: InstanceUUID, _ context: OperationContext) async throws -> InstanceInfo {
        let kind = OperationKind(name: "resume", state: .resuming, failure: .instanceResumeFailure)
        return try await changeState(.resume, kind, uuid, context)
    }

    private func changeState(
        _ operation: StateOperation,
        _ kind: OperationKind,
        _ uuid: InstanceUUID,
        _ context: OperationContext,
        _ budget: ShutdownBudget = ShutdownBudget(timeout: .zero, interval: .zero)
    ) async throws -> InstanceInfo {
        let instance = try existing(uuid)
        return try await perform(kind, on: instance, context) {
            try await handlePendingEvents(instance)
            let before = try await machine(uuid)
            let transition = TransitionTable.transition(operation, in: before?.state)
            try requireCapability(transition, operation)
            do {
                try await carryOut(transition, kind, instance, budget, from: before?.state)
            } catch {
                await fitConsole(instance)
                await rememberState(instance)
                throw error
            }
            await rememberState(instance)
            return makeInfo(instance, try await machine(uuid)).settled
        }
    }

    /// What a host cannot do is answered without asking it.
    private func requireCapability(_ transition: Transition, _ operation: StateOperation) throws {
        let missing: Capability? =
            switch transition {
            case .set(.paused): .pause
            case .set(.saved): .save
            default: nil
            }
        if let missing, !backend.capabilities.has(missing) {
            throw OperationError.notImplemented("\(operation.rawValue) is not supported by host \(host)")
        }
    }

    private func carryOut(
        _ transition: Transition,
        _ kind: OperationKind,
        _ instance: Instance,
        _ budget: ShutdownBudget,
        from state: MachineState?
    ) async throws {
        let uuid = instance.uuid
        switch transition {
        case .notFound, .exists, .proceed:
            throw OperationError.notFound(uuid.text)
        case .invalidState:
            throw OperationError.invalidState(uuid.text, state: state?.clientName ?? "absent", method: kind.name)
        case .unchanged:
            await fitConsole(instance)
        case .set(.running):
            try await start(instance, from: state, failure: kind.failure)
        case .set(.off):
            try await stop(instance, failure: kind.failure)
        case .set(.paused):
            try await reach(.paused, uuid, failure: kind.failure)
        case .set(.saved):
            try await reach(.saved, uuid, failure: kind.failure)
            await closeConsole(instance, mark: .suspend)
        case .softOff:
            if try await softShutdown(instance, budget, failure: kind.failure) {
                await closeConsole(instance, mark: .stop)
            } else {
                try await stop(instance, failure: kind.failure)
            }
        case .softReboot:
            if try await softShutdown(instance, budget, failure: kind.failure) {
                await closeConsole(instance, mark: .stop)
                try await start(instance, from: .off, failure: kind.failure)
            } else {
                try await reset(instance, failure: kind.failure)
            }
        case .reset:
            try await reset(instance, failure: kind.failure)
        case .powerCycle:
            try await stop(instance, failure: kind.failure)
            try await start(instance, from: .off, failure: kind.failure)
        }
    }

    /// Starts, unpauses or restores the machine, its console read from the first byte where the host permits it.
    func start(_ instance: Instance, from state: MachineState?, failure: OperationError.Code) async throws {
        let mark: ConsoleMarkKind? =
            switch state {
            case .paused: nil
            case .saved: .resume
            default: .boot
            }
        try await requireOwned(instance.record)
        if mark == .boot { instance.forgetExpectedReboots() }
        if backend.capabilities.has(.consolePreboot) { await ensureConsole(instance, mark: mark) }
        try await reach(.running, instance.uuid, failure: failure)
        if !backend.capabilities.has(.consolePreboot) { await ensureConsole(instance, mark: mark) }
    }

    /// Turns the machine off; its console is closed afterwards, so that the last lines are in the log.
    func stop(_ instance: Instance, failure: OperationError.Code) async throws {
        try await reach(.off, instance.uuid, failure: failure)
        await closeConsole(instance, mark: .stop)
    }

    private func reset(_ instance: Instance, failure: OperationError.Code) async throws {
        guard backend.capabilities.has(.reset) else {
            try await stop(instance, failure: failure)
            return try await start(instance, from: .off, failure: failure)
        }
        await ensureConsole(instance, mark: .boot)
        instance.expectReboot()
        let reached: MachineState
        do {
            reached = try await backend.reset(instance.uuid)
        } catch {
            instance.forgetExpectedReboots()
            throw error
        }
        guard reached != .running else { return }
        try await stop(instance, failure: failure)
        try await start(instance, from: .off, failure: failure)
    }

    private func rememberState(_ instance: Instance) async {
        guard let status = try? await machine(instance.uuid), status.state != .transitional else { return }
        let wasOff = instance.record.state == .off
        await remember(instance) { $0.state = status.state }
        // Who has to run it elsewhere is to know whether it was meant to run.
        if wasOff != (status.state == .off) { await publish(instance) }
    }
}

extension InstanceInfo {
    /// The instance as it is when the operation that made this info is over.
    var settled: InstanceInfo {
        var info = self
        info.task = nil
        if let machine {
            info.state = machine.state.clientName
            info.powerState = machine.state.novaPowerState
        }
        info.migration = nil
        return info
    }
}
