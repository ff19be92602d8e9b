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
        let options = MigrationOptions(copyStorage: migration.copyStorage, destination: host)
        var ticket = try await backend.checkIncoming(localSpec(migration), options)
        ticket[IncomingMigration.sharesDirectoryKey] = .bool(try await directory(uuid).contains(migration.token))
        return ticket
    }

    package func prepareIncoming(
        _ migration: IncomingMigration,
        _ ticket: MigrationTicket
    ) async throws -> MigrationTicket {
        try requireService()
        let uuid = migration.record.uuid
        let shares = ticket.sharesDirectory
        let spec = localSpec(migration)
        var record = migration.record
        record.complete = false
        record.disks = spec.disks
        record.move = InstanceMove(
            role: .arriving,
            peer: migration.source,
            transfer: migration.transfer,
            sharesDirectory: shares
        )
        let arriving = Instance(record)
        if let present = register(arriving) {
            // What an earlier attempt left is made anew.
            guard present.isArriving else { throw OperationError.exists(record.name) }
            unregister(present)
            guard register(arriving) == nil else { throw OperationError.exists(record.name) }
        }
        if !shares { await dropLeftover(uuid) }
        return try await arriving.lane.run {
            var undo = Undo()
            do {
                try await journal.save(record)
                return try await prepareSteps(arriving, spec, ticket, &undo)
            } catch {
                if await undo.run(logger) { try? await journal.remove(uuid) }
                unregister(arriving)
                throw OperationError(error, failure: .migrationError, instance: nil, host: host)
            }
        }
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
            undo.add("remove directory") { try await directory.remove() }
            _ = try await directory.create()
        }
        for interface in arriving.record.interfaces {
            undo.add("unplug interface") { try await self.backend.unplugInterface(interface, of: uuid) }
            try await backend.plugInterface(interface, of: uuid)
        }
        undo.add("abandon machine") { try await self.backend.abandonIncoming(uuid) }
        return try await backend.prepareIncoming(spec, ticket)
    }

    package func finishIncoming(_ uuid: InstanceUUID) async throws -> InstanceInfo {
        try requireService()
        let instance = try existing(uuid)
        // A repetition does not wait for what goes on with the instance here: that may be its way back to the one who
        // repeats.
        guard instance.isArriving else { return makeInfo(instance, try await machine(uuid)) }
        return try await instance.lane.run {
            guard !instance.isGone else { throw OperationError.notFound(uuid.text) }
            if instance.isArriving {
                try await backend.finishIncoming(uuid)
                let state = try await machine(uuid)?.state ?? .running
                var record = instance.record
                record.complete = true
                record.state = state
                record.move = nil
                // Durable before the source forgets the instance.
                try await journal.save(record)
                _ = instance.update { $0 = record }
                if record.state != .off { await ensureConsole(instance, mark: .migration) }
            }
            return makeInfo(instance, try await machine(uuid))
        }
    }

    package func abandonIncoming(_ uuid: InstanceUUID) async throws {
        try requireService()
        guard let instance = instance(uuid) else { return }
        try await instance.lane.run {
            guard !instance.isGone else { return }
            guard let move = instance.record.move, instance.isArriving else {
                throw OperationError.invalidState(uuid.text, state: "migrated", method: "rollback_live_migration")
            }
            var failures = FirstError()
            await failures.collect { try await backend.abandonIncoming(uuid) }
            for interface in instance.record.interfaces {
                await failures.collect { try await backend.unplugInterface(interface, of: uuid) }
            }
            if !move.sharesDirectory {
                await failures.collect { try await console.discardIncoming(uuid, directory: directory(uuid).path) }
                await failures.collect { try await removeFiles(uuid) }
            }
            if failures.error == nil { await failures.collect { try await journal.remove(uuid) } }
            if let error = failures.error { throw error }
            unregister(instance)
        }
    }

    package func consoleDestination(_ uuid: InstanceUUID) -> any ConsoleDestination {
        console.destination(uuid, directory: directory(uuid).path)
    }

    /// An instance that is not known yet must not pass for one that is not there.
    private func requireService() throws {
        guard isInService.load(ordering: .acquiring) else {
            throw OperationError(
                .hypervisorUnavailable,
                "Host \(host) is not in service.",
                details: ["host": host]
            )
        }
    }

    /// The machine as it will be here: its own files lie in this host's directory.
    private func localSpec(_ migration: IncomingMigration) -> MachineSpec {
        var spec = migration.spec
        let local = directory(spec.uuid).path
        for index in spec.disks.indices where spec.disks[index].path.hasPrefix(spec.directory + "/") {
            spec.disks[index].path = local + spec.disks[index].path.dropFirst(spec.directory.count)
        }
        spec.directory = local
        return spec
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
