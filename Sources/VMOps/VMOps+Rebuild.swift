import Console
import HostBackend
import Journal
import Logging
import Support

/// An instance made anew, from another image or the same one, under its identity.
extension VMOps {
    /// Replaces the machine of an instance and the disks that are its own. Its name, directory, log, interfaces and
    /// volumes stay.
    ///
    /// The new disks are made before the old machine is touched: what fails until then, and what fails while the machine
    /// is replaced, leaves the instance as it was. After that the old disks are gone. Of two deliveries of one request the
    /// second goes on where the first ended, also after a restart.
    ///
    /// - Parameters:
    ///   - request: what the instance is then; its interfaces and volumes are not looked at.
    ///   - timeout: how long the guest may take to shut itself down; zero or less = it is turned off at once.
    ///   - interval: how often it is asked.
    /// - Throws: `InstanceNotFound`; `InstanceInvalidState` in the middle of a migration or before a resize is
    ///   confirmed; what `spawn` throws.
    package func rebuild(
        _ request: SpawnRequest,
        timeout: Duration,
        interval: Duration,
        _ context: OperationContext
    ) async throws -> InstanceInfo {
        let instance = try existing(request.uuid)
        let kind = OperationKind(name: "rebuild", state: .building, failure: .instanceDeployFailure)
        return try await perform(kind, on: instance, context) {
            try await handlePendingEvents(instance)
            let record = instance.record
            guard record.complete, record.move == nil else {
                throw OperationError.invalidState(record.uuid.text, state: "migrating", method: "rebuild")
            }
            try await requireOwned(record)
            if context.requestKey == nil || record.spawnRequest != context.requestKey {
                let budget = ShutdownBudget(timeout: timeout, interval: interval)
                try await replace(instance, request, budget, context.requestKey)
            }
            await dropFormerDisks(instance.record)
            if request.powerOn, try await machine(record.uuid)?.state != .running {
                try await start(instance, from: .off, failure: .instanceDeployFailure)
                await remember(instance) { $0.state = .running }
                await publish(instance)
            }
            return makeInfo(instance, try await machine(record.uuid)).settled
        }
    }

    private func replace(
        _ instance: Instance,
        _ request: SpawnRequest,
        _ budget: ShutdownBudget,
        _ key: String?
    ) async throws {
        let before = instance.record
        // Of an attempt that a crash cut off.
        await dropFormerDisks(before)
        let disks: [DiskAttachment]
        do {
            disks = try await remakeDisks(before, request)
        } catch {
            // Awaited right here, as below; unstructured only so that a cancelled rebuild is still taken back.
            await Task { await self.dropFormerDisks(before) }.value
            throw error
        }
        do {
            try await turnOff(instance, budget)
            try await exchange(instance, rebuilt(before, request, disks, key))
        } catch {
            await Task { await self.takeBack(instance, before) }.value
            throw error
        }
    }

    private func rebuilt(
        _ before: InstanceRecord,
        _ request: SpawnRequest,
        _ disks: [DiskAttachment],
        _ key: String?
    ) -> InstanceRecord {
        var record = before
        record.memoryMB = request.memoryMB
        record.vcpus = request.vcpus
        record.rootGB = request.rootGB
        record.ephemeralGB = request.ephemeralGB
        record.imageRef = request.imageRef
        record.configDrive = request.configDrive
        record.metadata = request.metadata
        record.disks = disks
        record.state = .off
        record.spawnRequest = key
        return record
    }

    /// New disks beside those in use, each in its predecessor's place; volumes are what they were.
    private func remakeDisks(_ before: InstanceRecord, _ request: SpawnRequest) async throws -> [DiskAttachment] {
        let volumes = before.disks.filter { $0.role == .volume }
        var wanted = request
        wanted.volumes = before.volumes
        let directory = directory(before.uuid)
        let names = DiskNames(after: before.disks)
        var addresses = DeviceAddresses(used: volumes.map(\.address))
        var disks = try await makeLocalDisks(wanted, directory, names, &addresses)
        disks += volumes
        if let drive = try await makeConfigDrive(wanted, directory, names, &addresses) { disks.append(drive) }
        return disks
    }

    private func turnOff(_ instance: Instance, _ budget: ShutdownBudget) async throws {
        guard let state = try await machine(instance.uuid)?.state, state != .off else { return }
        let mayBeAsked = state == .running && budget.timeout > .zero
        if mayBeAsked, try await softShutdown(instance, budget, failure: .instanceDeployFailure) {
            await closeConsole(instance, mark: .stop)
        } else {
            try await stop(instance, failure: .instanceDeployFailure)
        }
    }

    /// From here on the instance is the new one.
    private func exchange(_ instance: Instance, _ record: InstanceRecord) async throws {
        let record = try await defineAnew(record)
        try await journal.save(record)
        _ = instance.update { $0 = record }
        await publish(instance)
    }

    /// Also after a restart, which may have found no machine that its volumes are connected for.
    private func defineAnew(_ record: InstanceRecord) async throws -> InstanceRecord {
        try await removeMachine(record.uuid)
        let record = try await connectVolumes(of: record)
        try await define(record)
        return record
    }

    /// The instance as it was. A machine that was turned off for nothing is started again.
    private func takeBack(_ instance: Instance, _ before: InstanceRecord) async {
        _ = instance.update { $0 = before }
        do {
            if try await machine(before.uuid)?.state != .running {
                _ = try await defineAnew(before)
                if before.state == .running {
                    try await start(instance, from: .off, failure: .instancePowerOnFailure)
                } else {
                    await remember(instance) { $0.state = .off }
                }
            }
        } catch {
            logger.error(
                "instance not as it was before a rebuild that failed",
                metadata: ["instance": "\(before.uuid)", "error": "\(error)"]
            )
        }
        await dropFormerDisks(before)
    }

    /// Removes the disks in the instance's directory that are none of its own any more, or have not become it.
    private func dropFormerDisks(_ record: InstanceRecord) async {
        let directory = directory(record.uuid)
        let own = Set(record.disks.filter { $0.role != .volume }.map(\.name))
        do {
            let names = try await BlockingPool.shared.run { try namesInDirectory(directory.path) }
            for name in names where DiskNames.isDisk(name) && !own.contains(name) {
                try await directory.remove(file: name)
            }
        } catch {
            logger.warning(
                "disks of before a rebuild not removed",
                metadata: ["instance": "\(record.uuid)", "error": "\(error)"]
            )
        }
    }
}
