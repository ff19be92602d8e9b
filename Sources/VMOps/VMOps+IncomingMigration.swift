package import Console
package import HostBackend
import Journal
import Logging
import Support
import Synchronization

/// The destination's part of a live migration. What is prepared here outlives a restart of the worker, until the
/// source says what became of the machine.
extension VMOps: MigrationPeer {
    package func checkIncoming(_ migration: IncomingMigration) async throws -> MigrationTicket {
        try requireService()
        let uuid = migration.record.uuid
        await finishLeftover(uuid)
        guard instance(uuid).map({ $0.isArriving }) ?? true, try await machine(uuid) == nil else {
            throw OperationError.exists(migration.record.name)
        }
        guard backend.capabilities.has(.liveMigration) else {
            throw OperationError.notImplemented("live migration is not supported by host \(host)")
        }
        try migration.checkDisks()
        let options = MigrationOptions(copyStorage: migration.copyStorage, destination: host)
        do {
            var ticket = try await backend.checkIncoming(localSpec(migration), options)
            ticket[IncomingMigration.sharesDirectoryKey] = .bool(
                try await directory(uuid).contains(migration.token)
            )
            return ticket
        } catch {
            throw OperationError(error, failure: .migrationPreCheckError, instance: nil, host: host)
        }
    }

    package func prepareIncoming(
        _ migration: IncomingMigration,
        _ ticket: MigrationTicket
    ) async throws -> MigrationTicket {
        try requireService()
        try migration.checkDisks()
        let uuid = migration.record.uuid
        let shares = ticket.sharesDirectory
        let spec = localSpec(migration)
        var record = migration.record
        record.complete = false
        record.disks = spec.disks
        record.arrivedBy = nil
        if !shares { record.generation = try await firstGeneration(uuid) }
        record.move = InstanceMove(
            role: .arriving,
            peer: migration.source,
            transfer: migration.transfer,
            sharesDirectory: shares
        )
        let arriving = Instance(record)
        if let present = try await take(uuid, for: arriving) {
            return try await repeatAnswer(present, migration, ticket)
        }
        return try await arriving.lane.run {
            var undo = Undo()
            do {
                if !shares { try await dropLeftover(uuid) }
                try await journal.save(arriving.record)
                let answer = try await prepareSteps(arriving, spec, ticket, &undo)
                var ready = arriving.record
                ready.move?.isPrepared = true
                try await journal.save(ready)
                _ = arriving.update { $0 = ready }
                return answer
            } catch {
                if await undo.run(logger) { try? await journal.remove(uuid) }
                unregister(arriving)
                throw OperationError(error, failure: .migrationError, instance: nil, host: host)
            }
        }
    }

    /// The source asks again although all is ready: nothing is made anew, for the guest may have come.
    private func repeatAnswer(
        _ present: Instance,
        _ migration: IncomingMigration,
        _ ticket: MigrationTicket
    ) async throws -> MigrationTicket {
        try await present.lane.run {
            guard !present.isGone, present.isArriving else { throw OperationError.exists(migration.record.name) }
            var spec = localSpec(migration)
            spec.disks = present.record.disks
            do {
                return try await backend.prepareIncoming(spec, ticket)
            } catch {
                throw OperationError(error, failure: .migrationError, instance: nil, host: host)
            }
        }
    }

    /// Registers an arriving instance in place of what an earlier attempt left of its uuid.
    ///
    /// - Returns: the one that is there and ready for this very transfer.
    private func take(_ uuid: InstanceUUID, for arriving: Instance) async throws -> Instance? {
        guard let transfer = arriving.record.move?.transfer else { return nil }
        while let present = register(arriving) {
            switch Arrival(present.record).answer(to: .prepare(transfer)) {
            case .repeatAnswer: return present
            case .prepare:
                // A repetition: what there is, is made anew, after whoever makes it now.
                try await present.lane.run { unregister(present) }
            case .ask(let other):
                guard try await isForgotten(present, other) else {
                    throw OperationError(
                        .migrationError,
                        "Migration error: another migration to host \(host) is not over",
                        details: ["reason": "another migration to host \(host) is not over"]
                    )
                }
                try await abandonIncoming(uuid, transfer: other)
            default:
                throw OperationError.exists(arriving.record.name)
            }
        }
        return nil
    }

    /// Whether the source of an arriving instance says that it knows nothing of it.
    func isForgotten(_ arriving: Instance, _ transfer: String) async throws -> Bool {
        guard let move = arriving.record.move, move.transfer == transfer else { return true }
        return try await !peers.peer(move.peer).knowsOutgoing(arriving.uuid, transfer: transfer)
    }

    private func prepareSteps(
        _ arriving: Instance,
        _ spec: MachineSpec,
        _ ticket: MigrationTicket,
        _ undo: inout Undo
    ) async throws -> MigrationTicket {
        let uuid = arriving.uuid
        if !ticket.sharesDirectory {
            let directory = directory(uuid)
            _ = try await directory.create(owner: host)
            undo.add("remove directory") {
                try await self.backend.removeFiles(directory.path)
                try await directory.remove()
            }
        }
        var spec = spec
        for volume in arriving.record.volumes {
            undo.add("disconnect volume") { try await self.backend.disconnectVolume(volume) }
            let path = try await connectVolume(volume)
            for index in spec.disks.indices where spec.disks[index].identifier == volume.volumeID {
                spec.disks[index].path = path
            }
        }
        if let record = arriving.update({ $0.disks = spec.disks }) { try await journal.save(record) }
        for interface in arriving.record.interfaces {
            undo.add("unplug interface") { try await self.backend.unplugInterface(interface, of: uuid) }
            try await backend.plugInterface(interface, of: uuid)
        }
        undo.add("abandon machine") { try await self.backend.abandonIncoming(uuid) }
        return try await backend.prepareIncoming(spec, ticket)
    }

    package func finishIncoming(_ uuid: InstanceUUID, transfer: String) async throws -> InstanceInfo {
        try requireService()
        let instance = try existing(uuid)
        // A repetition does not wait for what goes on with the instance here: that may be its way back to the one who
        // repeats.
        switch Arrival(instance.record).answer(to: .finish(transfer)) {
        case .done: return makeInfo(instance, try await machine(uuid))
        case .run:
            // The word may have waited for long, and the source have been told to run the machine itself.
            guard try await !isForgotten(instance, transfer) else { throw OperationError.notFound(uuid.text) }
        default: throw OperationError.notFound(uuid.text)
        }
        return try await instance.lane.run {
            guard !instance.isGone else { throw OperationError.notFound(uuid.text) }
            if instance.isArriving { try await run(instance) }
            return makeInfo(instance, try await machine(uuid))
        }
    }

    /// The machine has come: it runs here from now on. In the lane only.
    func run(_ instance: Instance) async throws {
        let uuid = instance.uuid
        if instance.record.move?.isCold == true { return try await runResized(instance) }
        do {
            try await backend.finishIncoming(uuid)
        } catch {
            throw OperationError(error, failure: .migrationError, instance: nil, host: host)
        }
        let state = try await machine(uuid)?.state ?? .running
        var record = instance.record
        record.complete = true
        record.state = state
        record.arrivedBy = record.move?.transfer
        if record.move?.sharesDirectory == true { record.move = nil } else { record.move?.role = .arrived }
        // Durable before the source forgets the instance.
        record = try await asOwner(record, sharesDirectory: instance.record.move?.sharesDirectory ?? false)
        try await journal.save(record)
        _ = instance.update { $0 = record }
        await publish(instance)
        if record.state != .off { await ensureConsole(instance, mark: .migration) }
    }

    /// The record of an instance that came: where the hosts share its directory, this one becomes the owner.
    func asOwner(_ record: InstanceRecord, sharesDirectory: Bool) async throws -> InstanceRecord {
        sharesDirectory ? try await takeOwnership(record, record.generation + 1) : record
    }

    package func abandonIncoming(_ uuid: InstanceUUID, transfer: String) async throws {
        try requireService()
        guard let instance = instance(uuid) else { return }
        switch Arrival(instance.record).answer(to: .abandon(transfer)) {
        case .done: return
        case .remove: break
        default: throw OperationError.invalidState(uuid.text, state: "migrated", method: "rollback_live_migration")
        }
        try await instance.lane.run {
            guard !instance.isGone else { return }
            switch Arrival(instance.record).answer(to: .abandon(transfer)) {
            case .remove: try await remove(arriving: instance)
            case .done: return
            default: throw OperationError.invalidState(uuid.text, state: "migrated", method: "rollback_live_migration")
            }
        }
    }

    /// Removes what was prepared for a machine that will not come. In the lane only.
    func remove(arriving instance: Instance) async throws {
        let uuid = instance.uuid
        let record = instance.record
        var failures = FirstError()
        await failures.collect {
            guard let move = record.move, move.isCold else { return try await backend.abandonIncoming(uuid) }
            carrier.forget(move.transfer)
            try await removeMachine(uuid)
        }
        for interface in record.interfaces {
            await failures.collect { try await backend.unplugInterface(interface, of: uuid) }
        }
        for volume in record.volumes {
            await failures.collect { try await backend.disconnectVolume(volume) }
        }
        if record.move?.sharesDirectory != true {
            await failures.collect { try await console.discardIncoming(uuid, directory: directory(uuid).path) }
            await failures.collect { try await removeFiles(uuid) }
        }
        if failures.error == nil { await failures.collect { try await journal.remove(uuid) } }
        if let error = failures.error {
            throw OperationError(error, failure: .migrationError, instance: nil, host: host)
        }
        unregister(instance)
    }

    /// Asks the source of an arrival that nothing was heard of about it: one that knows of none will never call.
    func settleArrival(_ instance: Instance) async {
        guard let move = instance.record.move, move.role.step(machineIsHere: false) == .askSource else { return }
        do {
            guard try await isForgotten(instance, move.transfer) else { return }
            try await instance.lane.run {
                guard !instance.isGone, instance.record.move == move else { return }
                if move.role == .arriving {
                    try await remove(arriving: instance)
                } else {
                    await remember(instance) { $0.move = nil }
                }
            }
            logger.notice("migration given up by its source", metadata: ["instance": "\(instance.uuid)"])
        } catch {
            logger.debug(
                "source of a migration not asked",
                metadata: ["instance": "\(instance.uuid)", "source": "\(move.peer)", "error": "\(error)"]
            )
        }
    }

    package func knowsOutgoing(_ uuid: InstanceUUID, transfer: String) async throws -> Bool {
        try requireService()
        let moves = [instance(uuid), leftovers.withLock { $0[uuid] }].compactMap { $0?.record.move }
        return moves.contains { $0.transfer == transfer && [.leaving, .left, .delivered, .kept].contains($0.role) }
    }

    package func presentInfo(_ uuid: InstanceUUID) async throws -> InstanceInfo? {
        try requireService()
        guard let instance = instance(uuid), !instance.isGone, instance.record.complete else { return nil }
        return makeInfo(instance, try await machine(uuid))
    }

    package func consoleDestination(_ uuid: InstanceUUID) -> any ConsoleDestination {
        ArrivingConsole(
            operations: self,
            uuid: uuid,
            log: console.destination(uuid, directory: directory(uuid).path),
            returning: console.destination(uuid, directory: directory(uuid).path, replacesPresent: true)
        )
    }

    /// An instance that is not known yet must not pass for one that is not there.
    func requireService() throws {
        guard isInService.load(ordering: .acquiring) else {
            throw OperationError(
                .hypervisorUnavailable,
                "Host \(host) is not in service.",
                details: ["host": host]
            )
        }
    }

    /// The machine as it will be here: its own files lie in this host's directory.
    func localSpec(_ migration: IncomingMigration) -> MachineSpec {
        var spec = migration.spec
        let local = directory(spec.uuid).path
        for index in spec.disks.indices where spec.disks[index].path.hasPrefix(spec.directory + "/") {
            spec.disks[index].path = local + spec.disks[index].path.dropFirst(spec.directory.count)
        }
        spec.directory = local
        return spec
    }
}

extension IncomingMigration {
    /// Files of the machine lie in its directory, and each volume comes with the way to it; whatever else a record
    /// names is nothing that a machine here may get.
    func checkDisks() throws {
        for disk in spec.disks {
            if disk.role == .volume {
                if record.volumes.contains(where: { $0.volumeID == disk.identifier }) { continue }
                throw refusal("the connection data of volume \(disk.identifier ?? "") are not remembered")
            }
            guard disk.path.hasPrefix(spec.directory + "/"), !disk.path.contains("/../") else {
                throw refusal("disk \(disk.path) is not in the instance's directory")
            }
        }
    }

    private func refusal(_ reason: String) -> OperationError {
        OperationError(
            .migrationPreCheckError,
            "Migration pre-check error: \(reason)",
            details: ["reason": reason]
        )
    }
}

extension Instance {
    /// Waits for its machine, which the source may still keep.
    var isArriving: Bool {
        let record = record
        return !record.complete && record.move?.role == .arriving
    }
}

extension MigrationTicket {
    /// Whether source and destination see the same instance directory, as the destination found.
    var sharesDirectory: Bool { self[IncomingMigration.sharesDirectoryKey]?.boolValue ?? false }
}
