package import HostBackend
import Journal
import Logging
import Support
import Synchronization

/// The source's part of a live migration (VM operations, section 8.3).
extension VMOps {
    /// Moves a running instance to `destination`.
    ///
    /// Until the machine has switched over, a failure or an abort leaves it running here and undoes the preparations
    /// at the destination. From then on the instance lives there: what fails afterwards is logged and retried, never
    /// rolled back.
    ///
    /// - Parameter copyStorage: whether the disks are copied; `nil` = only if the hosts share no storage.
    /// - Returns: the instance as the destination sees it.
    package func liveMigrate(
        _ uuid: InstanceUUID,
        to destination: String,
        copyStorage: Bool?,
        _ context: OperationContext
    ) async throws -> InstanceInfo {
        let instance = try existing(uuid)
        guard backend.capabilities.has(.liveMigration) else {
            throw OperationError.notImplemented("live migration is not supported by host \(host)")
        }
        guard destination != host else {
            throw OperationError(
                .unableToMigrateToSelf,
                "Unable to migrate instance (\(uuid)) to current host (\(host)).",
                details: ["instance_id": uuid.text, "host": host]
            )
        }
        let kind = OperationKind(name: "live_migration", state: .migratingOut, failure: .migrationError)
        return try await perform(kind, on: instance, context) {
            try await requireMigratable(uuid)
            let peer = try peers.peer(destination)
            let (migration, ticket) = try await check(instance, to: destination, copyStorage, peer)
            let transfer = UniqueID.make()
            try await move(instance, migration, ticket, transfer, peer)
            return try await complete(instance, transfer, peer)
        }
    }

    /// Stops a migration that has not switched over yet; the instance goes on running here.
    package func abortLiveMigration(_ uuid: InstanceUUID) throws {
        let instance = try existing(uuid)
        guard instance.snapshot.activity?.state == .migratingOut, instance.interrupt("aborted") else {
            throw OperationError.invalidState(uuid.text, state: "not migrating", method: "abort_live_migration")
        }
    }

    private func requireMigratable(_ uuid: InstanceUUID) async throws {
        let status = try await machine(uuid)
        switch TransitionTable.transition(.liveMigration, in: status?.state) {
        case .proceed where status?.state == .paused && !backend.capabilities.has(.migratePaused):
            throw OperationError.invalidState(uuid.text, state: "paused", method: "live_migration")
        case .proceed:
            return
        case .invalidState:
            throw OperationError.invalidState(
                uuid.text,
                state: status?.state.clientName ?? "absent",
                method: "live_migration"
            )
        default:
            throw OperationError.notFound(uuid.text)
        }
    }

    /// Asks both hosts, and undecided about the disks, first without copying them.
    private func check(
        _ instance: Instance,
        to destination: String,
        _ copyStorage: Bool?,
        _ peer: any MigrationPeer
    ) async throws -> (IncomingMigration, MigrationTicket) {
        var failure: (any Error)?
        for copies in copyStorage.map({ [$0] }) ?? [false, true] {
            let migration = IncomingMigration(
                record: instance.record,
                spec: machineSpec(instance.record),
                source: host,
                copyStorage: copies
            )
            do {
                let ticket = try await peer.checkIncoming(migration)
                return (migration, try await backend.checkOutgoing(instance.uuid, ticket))
            } catch let error as OperationError {
                throw error
            } catch {
                failure = error
            }
        }
        throw OperationError(
            failure ?? CancellationError(),
            failure: .migrationPreCheckError,
            instance: nil,
            host: destination
        )
    }

    /// Everything up to the switch-over.
    private func move(
        _ instance: Instance,
        _ migration: IncomingMigration,
        _ ticket: MigrationTicket,
        _ transfer: String,
        _ peer: any MigrationPeer
    ) async throws {
        let uuid = instance.uuid
        let interruption = instance.beginInterruptible()
        defer { instance.endInterruptible() }
        let switchedOver = Atomic<Bool>(false)
        do {
            let prepared = try await peer.prepareIncoming(migration, ticket)
            await copyConsole(instance, transfer: transfer, to: peer)
            if backend.capabilities.has(.consoleExclusive) { await closeConsole(instance, mark: nil) }
            try await interruption.cancelling { [backend] in
                try await backend.migrate(uuid, prepared) { progress in
                    if progress.phase == .switchover { switchedOver.store(true, ordering: .releasing) }
                    instance.report(progress)
                }
            }
        } catch {
            if switchedOver.load(ordering: .acquiring), try await hasLeft(uuid) { return }
            await rollBack(instance, peer)
            let reason = interruption.reason.map { "it was \($0)" } ?? "\(error)"
            throw OperationError(
                .migrationError,
                "Migration error: \(reason). The instance is still running on \(host).",
                details: ["reason": reason],
                cause: error
            )
        }
    }

    /// After an error past the switch-over only the state tells where the machine is.
    private func hasLeft(_ uuid: InstanceUUID) async throws -> Bool {
        let state = try await machine(uuid)?.state
        return state == nil || state == .off
    }

    private func rollBack(_ instance: Instance, _ peer: any MigrationPeer) async {
        // Awaited right here; unstructured only so that a cancelled migration still cleans up.
        await Task {
            do {
                try await peer.abandonIncoming(instance.uuid)
            } catch {
                logger.warning(
                    "destination not cleaned up after a failed migration",
                    metadata: ["instance": "\(instance.uuid)", "error": "\(error)"]
                )
            }
            await fitConsole(instance)
        }.value
    }

    /// The machine runs at the destination.
    private func complete(
        _ instance: Instance,
        _ transfer: String,
        _ peer: any MigrationPeer
    ) async throws -> InstanceInfo {
        let uuid = instance.uuid
        let info = try await peer.finishIncoming(uuid)
        let moved = await moveConsole(instance, transfer: transfer, to: peer)
        var failures = FirstError()
        for interface in instance.record.interfaces {
            await failures.collect { try await backend.unplugInterface(interface, of: uuid) }
        }
        await failures.collect { try await backend.finishOutgoing(uuid) }
        if moved {
            await failures.collect { try await removeFiles(uuid) }
            await failures.collect { try await journal.remove(uuid) }
        }
        if let error = failures.error {
            logger.warning(
                "source not cleaned up after a migration",
                metadata: ["instance": "\(uuid)", "error": "\(error)"]
            )
        }
        unregister(instance)
        return info
    }
}
