package import Console
package import HostBackend
import Journal

/// The destination's part of a live migration.
extension VMOps: MigrationPeer {
    package func checkIncoming(_ migration: IncomingMigration) async throws -> MigrationTicket {
        let uuid = migration.record.uuid
        guard instance(uuid) == nil, try await machine(uuid) == nil else {
            throw OperationError.exists(migration.record.name)
        }
        guard backend.capabilities.has(.liveMigration) else {
            throw OperationError.notImplemented("live migration is not supported by host \(host)")
        }
        let options = MigrationOptions(copyStorage: migration.copyStorage, destination: host)
        return try await backend.checkIncoming(localSpec(migration), options)
    }

    package func prepareIncoming(
        _ migration: IncomingMigration,
        _ ticket: MigrationTicket
    ) async throws -> MigrationTicket {
        let uuid = migration.record.uuid
        let spec = localSpec(migration)
        var record = migration.record
        record.complete = false
        record.disks = spec.disks
        let arriving = Instance(record)
        if let present = register(arriving) {
            guard !present.record.complete else { throw OperationError.exists(record.name) }
            unregister(present)
            _ = register(arriving)
        }
        arriving.begin(Instance.Activity(operation: "pre_live_migration", state: .migratingIn))
        var undo = Undo()
        undo.add("unregister") { self.unregister(arriving) }
        do {
            undo.add("forget record") { try await self.journal.remove(uuid) }
            try await journal.save(record)
            let directory = directory(uuid)
            undo.add("remove directory") { try await directory.remove() }
            _ = try await directory.create()
            for interface in record.interfaces {
                undo.add("unplug interface") { try await self.backend.unplugInterface(interface, of: uuid) }
                try await backend.plugInterface(interface, of: uuid)
            }
            undo.add("abandon machine") { try await self.backend.abandonIncoming(uuid) }
            return try await backend.prepareIncoming(spec, ticket)
        } catch {
            await undo.run(logger)
            throw OperationError(error, failure: .migrationError, instance: nil, host: host)
        }
    }

    package func finishIncoming(_ uuid: InstanceUUID) async throws -> InstanceInfo {
        let instance = try existing(uuid)
        if !instance.record.complete {
            try await backend.finishIncoming(uuid)
            let state = try await machine(uuid)?.state ?? .running
            await remember(instance) { record in
                record.complete = true
                record.state = state
            }
            instance.end()
        }
        await ensureConsole(instance, mark: .migration)
        return makeInfo(instance, try await machine(uuid))
    }

    package func abandonIncoming(_ uuid: InstanceUUID) async throws {
        guard let instance = instance(uuid) else { return }
        guard !instance.record.complete else {
            throw OperationError.invalidState(uuid.text, state: "migrated", method: "rollback_live_migration")
        }
        var failures = FirstError()
        await failures.collect { try await backend.abandonIncoming(uuid) }
        for interface in instance.record.interfaces {
            await failures.collect { try await backend.unplugInterface(interface, of: uuid) }
        }
        await failures.collect { try await console.discardIncoming(uuid, directory: directory(uuid).path) }
        await failures.collect { try await removeFiles(uuid) }
        await failures.collect { try await journal.remove(uuid) }
        unregister(instance)
        if let error = failures.error { throw error }
    }

    package func consoleDestination(_ uuid: InstanceUUID) -> any ConsoleDestination {
        console.destination(uuid, directory: directory(uuid).path)
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
