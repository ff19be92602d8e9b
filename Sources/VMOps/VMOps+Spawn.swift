import Glibc
import HostBackend
import Journal
import Logging
import Support

extension VMOps {
    /// Builds and starts an instance (VM operations, section 6.8). Whatever fails, everything that this spawn made is
    /// gone afterwards and the original error is thrown. A redelivery of the request that spawned the instance
    /// succeeds without doing anything.
    package func spawn(_ request: SpawnRequest, _ context: OperationContext) async throws -> InstanceInfo {
        let record = InstanceRecord(
            uuid: request.uuid,
            name: request.name,
            memoryMB: request.memoryMB,
            vcpus: request.vcpus,
            rootGB: request.rootGB,
            ephemeralGB: request.ephemeralGB,
            imageRef: request.imageRef,
            configDrive: request.configDrive,
            metadata: request.metadata,
            interfaces: request.interfaces,
            volumes: request.volumes,
            spawnRequest: context.requestKey,
            createdAt: Int64(time(nil))
        )
        let instance = Instance(record)
        if let present = register(instance) {
            return try await spawnAgain(present, request, context)
        }
        let kind = OperationKind(name: "spawn", state: .building, failure: .instanceDeployFailure)
        do {
            return try await perform(kind, on: instance, context) { try await build(instance, request) }
        } catch {
            unregister(instance)
            throw error
        }
    }

    private func spawnAgain(
        _ present: Instance,
        _ request: SpawnRequest,
        _ context: OperationContext
    ) async throws -> InstanceInfo {
        guard let key = context.requestKey, present.record.spawnRequest == key else {
            throw OperationError.exists(request.name)
        }
        return try await present.lane.run {
            guard !present.isGone else { throw OperationError.notFound(request.uuid.text) }
            // Left half made by an earlier worker, which could not undo it: not what was asked for.
            guard present.record.complete else { throw OperationError.exists(request.name) }
            return makeInfo(present, try await machine(request.uuid))
        }
    }

    private func build(_ instance: Instance, _ request: SpawnRequest) async throws -> InstanceInfo {
        try await backend.probe()
        guard try await machine(request.uuid) == nil else { throw OperationError.exists(request.name) }
        try await dropLeftover(request.uuid)
        try await requireUnclaimed(request.uuid, request.name)
        var undo = Undo()
        let generation = try await firstGeneration(request.uuid)
        _ = instance.update { $0.generation = generation }
        do {
            try await journal.save(instance.record)
            try await buildSteps(instance, request, &undo)
            // Without this on disk the next start would undo the instance, so it is part of what must succeed.
            _ = instance.update { $0.complete = true }
            try await journal.save(instance.record)
            await publish(instance)
        } catch {
            _ = instance.update { $0.complete = false }
            await closeConsole(instance, mark: nil)
            // What could not be undone now is undone at the next start, by the record.
            if await undo.run(logger) { await forget(request.uuid) }
            throw error
        }
        return makeInfo(instance, try await machine(request.uuid)).settled
    }

    /// Removes the record, also when the task is cancelled.
    private func forget(_ uuid: InstanceUUID) async {
        do {
            try await journal.remove(uuid)
        } catch {
            logger.warning("instance record not removed", metadata: ["instance": "\(uuid)", "error": "\(error)"])
        }
    }

    private func buildSteps(_ instance: Instance, _ request: SpawnRequest, _ undo: inout Undo) async throws {
        let uuid = request.uuid
        let directory = directory(uuid)
        // Whose it is, is decided here: before, nothing in it may be removed.
        let aside = try await directory.create(owner: host)
        undo.add("remove directory") {
            try await self.backend.removeFiles(directory.path)
            try await directory.remove()
        }
        if let aside {
            logger.warning(
                "directory of another origin moved aside",
                metadata: ["instance": "\(uuid)", "moved_to": "\(aside)"]
            )
        }

        let disks = try await makeDisks(request, directory, &undo)
        _ = instance.update { $0.disks = disks }
        let spec = machineSpec(instance.record)
        undo.add("delete machine") { try await self.removeMachine(uuid) }
        try await backend.createMachine(spec)
        for interface in request.interfaces {
            undo.add("unplug interface") { try await self.backend.unplugInterface(interface, of: uuid) }
            do {
                try await backend.plugInterface(interface, of: uuid)
            } catch {
                throw OperationError(error, failure: .virtualInterfacePlug, instance: nil, host: host)
            }
        }
        if request.powerOn {
            if let readiness = request.readiness { try await wait(readiness, instance) }
            try await start(instance, from: .off, failure: .instanceDeployFailure)
        }
        _ = instance.update { $0.state = request.powerOn ? .running : .off }
    }

    private func wait(_ readiness: @escaping @Sendable () async throws -> Void, _ instance: Instance) async throws {
        let interruption = instance.beginInterruptible()
        defer { instance.endInterruptible() }
        do {
            try await interruption.cancelling(readiness)
        } catch is CancellationError {
            try Task.checkCancellation()
            throw OperationError(
                .instanceDeployFailure,
                "Failed to deploy instance: \(interruption.reason ?? "not started")",
                details: ["reason": interruption.reason ?? "not started"]
            )
        }
    }

    /// The machine as it is to be defined on a host.
    func machineSpec(_ record: InstanceRecord) -> MachineSpec {
        let settings = settings
        let ratio = settings.dynamicMemoryRatio
        let startup = ratio > 1 ? Int(Double(record.memoryMB) / ratio) / 2 * 2 : record.memoryMB
        return MachineSpec(
            uuid: record.uuid,
            name: record.name,
            directory: directory(record.uuid).path,
            memoryMB: record.memoryMB,
            startupMemoryMB: max(startup, 2),
            vcpus: record.vcpus,
            limitCPUFeatures: settings.limitCPUFeatures,
            enableMetrics: settings.enableMetricsCollection,
            disks: record.disks,
            interfaces: record.interfaces,
            metadata: record.metadata
        )
    }
}
