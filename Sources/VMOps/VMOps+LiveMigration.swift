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
        guard destination != host else { throw toSelf(uuid) }
        let kind = OperationKind(name: "live_migration", state: .migratingOut, failure: .migrationError)
        return try await perform(kind, on: instance, context) {
            let running = outgoing.add(1, ordering: .relaxed).newValue
            defer { outgoing.subtract(1, ordering: .relaxed) }
            guard running <= settings.maxOutgoingMigrations else {
                throw preCheckError("\(running - 1) live migrations from host \(host) run already")
            }
            let earlier = instance.record.move
            try requireNotResized(instance, "live_migration")
            guard earlier?.role != .arrived || earlier?.peer == destination else {
                throw preCheckError("the console log of an earlier migration is still on its way")
            }
            // The same destination makes everything anew; another one must not be left with what it prepared.
            guard await clearMove(instance) || earlier?.peer == destination else {
                throw preCheckError("an earlier migration is not cleaned up yet")
            }
            try await requireMigratable(uuid)
            let peer = try peers.peer(destination)
            let transfer = UniqueID.make()
            let token = IncomingMigration.tokenPrefix + transfer
            try await directory(uuid).touch(token)
            let migration: IncomingMigration
            let ticket: MigrationTicket
            do {
                (migration, ticket) = try await check(instance, to: destination, copyStorage, transfer, peer)
                try await rememberMove(instance, to: destination, transfer, ticket)
            } catch {
                try? await directory(uuid).remove(file: token)
                throw error
            }
            try await move(instance, migration, ticket, peer)
            let expected = makeInfo(instance, nil)
            return await finishLeaving(instance) ?? departed(expected, to: destination)
        }
    }

    func toSelf(_ uuid: InstanceUUID) -> OperationError {
        OperationError(
            .unableToMigrateToSelf,
            "Unable to migrate instance (\(uuid)) to current host (\(host)).",
            details: ["instance_id": uuid.text, "host": host]
        )
    }

    func preCheckError(_ reason: String) -> OperationError {
        OperationError(
            .migrationPreCheckError,
            "Migration pre-check error: \(reason)",
            details: ["reason": reason]
        )
    }

    /// Durable before anything is prepared at the destination, so that it is undone there whatever happens here.
    private func rememberMove(
        _ instance: Instance,
        to destination: String,
        _ transfer: String,
        _ ticket: MigrationTicket
    ) async throws {
        var record = instance.record
        // Going back before its log has come: the log stays where the machine goes.
        if record.move?.role == .arrived { record.arrivedBy = nil }
        record.move = InstanceMove(
            role: .leaving,
            peer: destination,
            transfer: transfer,
            sharesDirectory: ticket.sharesDirectory
        )
        try await journal.save(record)
        _ = instance.update { $0 = record }
    }

    /// What can be said of an instance that has gone to a host that does not answer.
    func departed(_ info: InstanceInfo, to destination: String) -> InstanceInfo {
        var info = info
        info.host = destination
        info.state = TransitionalState.migratingIn.rawValue
        info.powerState = 0
        info.task = nil
        info.migration = nil
        return info
    }

    /// Stops a migration that has not switched over yet; the instance goes on running here.
    package func abortLiveMigration(_ uuid: InstanceUUID) throws {
        let instance = try existing(uuid)
        guard backend.capabilities.has(.abortLiveMigration) else {
            throw OperationError.notImplemented("aborting a live migration is not supported by host \(host)")
        }
        let activity = instance.snapshot.activity
        let isOver = activity?.migration.map { [.switchover, .completed].contains($0.phase) } ?? false
        guard activity?.state == .migratingOut, !isOver, instance.interrupt("aborted") else {
            throw OperationError.invalidState(uuid.text, state: "not migrating", method: "abort_live_migration")
        }
    }

    /// Whether the instance could go, given what a destination said. Changes nothing.
    package func checkOutgoing(_ uuid: InstanceUUID, _ ticket: MigrationTicket) async throws -> MigrationTicket {
        _ = try existing(uuid)
        try await requireMigratable(uuid)
        do {
            return try await backend.checkOutgoing(uuid, ticket)
        } catch {
            throw OperationError(error, failure: .migrationPreCheckError, instance: uuid.text, host: host)
        }
    }

    /// Whether the instance could go to `destination` now: asks both hosts, and leaves nothing behind.
    ///
    /// - Returns: whether the hosts share the instance's directory.
    /// - Throws: ``OperationError``.
    package func checkLiveMigration(_ uuid: InstanceUUID, to destination: String) async throws -> Bool {
        let instance = try existing(uuid)
        try await checkCanLeave(uuid)
        let transfer = UniqueID.make()
        let token = IncomingMigration.tokenPrefix + transfer
        do {
            try await directory(uuid).touch(token)
            let (_, ticket) = try await check(instance, to: destination, nil, transfer, try peers.peer(destination))
            try? await directory(uuid).remove(file: token)
            return ticket.sharesDirectory
        } catch {
            try? await directory(uuid).remove(file: token)
            throw OperationError(error, failure: .migrationPreCheckError, instance: uuid.text, host: host)
        }
    }

    /// Whether the instance is in a state to go, wherever to.
    package func checkCanLeave(_ uuid: InstanceUUID) async throws {
        _ = try existing(uuid)
        guard backend.capabilities.has(.liveMigration) else {
            throw OperationError.notImplemented("live migration is not supported by host \(host)")
        }
        try await requireMigratable(uuid)
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
        _ transfer: String,
        _ peer: any MigrationPeer
    ) async throws -> (IncomingMigration, MigrationTicket) {
        var failure: (any Error)?
        for copies in copyStorage.map({ [$0] }) ?? [false, true] {
            let migration = IncomingMigration(
                record: instance.record,
                spec: machineSpec(instance.record),
                source: host,
                copyStorage: copies,
                transfer: transfer
            )
            do {
                let ticket = try await peer.checkIncoming(migration)
                return (migration, try await backend.checkOutgoing(instance.uuid, ticket))
            } catch let error as OperationError where error.code == .hypervisorUnavailable {
                throw preCheckError(error.message)
            } catch let error as OperationError where error.code != .migrationPreCheckError {
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

    /// Everything up to the switch-over, within which others may stop it.
    private func move(
        _ instance: Instance,
        _ migration: IncomingMigration,
        _ ticket: MigrationTicket,
        _ peer: any MigrationPeer
    ) async throws {
        let interruption = instance.beginInterruptible()
        defer { instance.endInterruptible() }
        let switchedOver = Atomic<Bool>(false)
        do {
            try await interruption.cancelling { [self] in
                let prepared = try await peer.prepareIncoming(migration, ticket)
                if !ticket.sharesDirectory {
                    await copyConsole(instance, transfer: migration.transfer, to: peer)
                }
                if backend.capabilities.has(.consoleExclusive) { await closeConsole(instance, mark: nil) }
                try await backend.migrate(instance.uuid, prepared) { progress in
                    if progress.phase == .switchover { switchedOver.store(true, ordering: .releasing) }
                    instance.report(progress)
                }
            }
        } catch {
            if await hasLeft(instance, switchedOver: switchedOver.load(ordering: .acquiring)) { return }
            await rollBack(instance)
            let reason = interruption.reason.map { "it was \($0)" } ?? "\(error)"
            throw OperationError(
                .migrationError,
                "Migration error: \(reason). The instance is still on \(host).",
                details: ["reason": reason],
                cause: error
            )
        }
    }

    /// After an error only the state tells where the machine is; what was reported counts if there is no telling.
    private func hasLeft(_ instance: Instance, switchedOver: Bool) async -> Bool {
        do {
            return try await machine(instance.uuid) == nil
        } catch {
            return switchedOver
        }
    }

    private func rollBack(_ instance: Instance) async {
        // Awaited right here; unstructured only so that a cancelled migration still cleans up.
        await Task {
            await clearMove(instance)
            await fitConsole(instance)
        }.value
    }
}
