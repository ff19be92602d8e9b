import Console
package import HostBackend
import Journal
import Logging
package import Support
import Synchronization

/// The destination's part of a cold migration: everything is made ready before the source decides, so that nothing can
/// be refused afterwards.
extension VMOps {
    package func checkResize(_ migration: IncomingMigration) async throws -> MigrationTicket {
        try requireService()
        let uuid = migration.record.uuid
        guard backend.capabilities.has(.coldMigration) else {
            throw OperationError.notImplemented("cold migration is not supported by host \(host)")
        }
        guard migration.resize != nil else { throw preCheckError("the new flavor is missing") }
        try await requireNoLeftover(migration.record)
        guard instance(uuid).map({ $0.isArriving }) ?? true, try await machine(uuid) == nil else {
            throw OperationError.exists(migration.record.name)
        }
        try migration.checkDisks()
        for volume in migration.record.volumes where !backend.capabilities.volumeTypes.contains(volume.type) {
            throw preCheckError("host \(host) has no volumes of type \(volume.type)")
        }
        do {
            let info = try await backend.hostInfo()
            let wanted = migration.resize?.flavor.memoryMB ?? 0
            guard wanted <= info.memoryMB else {
                throw preCheckError("host \(host) has \(info.memoryMB) MB of memory, \(wanted) are needed")
            }
        } catch {
            throw OperationError(error, failure: .migrationPreCheckError, instance: nil, host: host)
        }
        let shares = try await directory(uuid).contains(migration.token)
        return [
            IncomingMigration.sharesDirectoryKey: .bool(shares),
            IncomingMigration.diskOfferKey: .object(carrier.offer),
        ]
    }

    /// Whoever keeps something of an instance that left, or has to give it back, does not take it anew.
    private func requireNoLeftover(_ record: InstanceRecord) async throws {
        await forgetIfEvacuated(record.uuid)
        guard let leftover = leftovers.withLock({ $0[record.uuid] }), let move = leftover.record.move, move.isCold
        else { return }
        throw OperationError.exists(record.name)
    }

    package func prepareResize(_ migration: IncomingMigration, _ ticket: MigrationTicket) async throws -> JSONObject {
        try requireService()
        try migration.checkDisks()
        try await requireNoLeftover(migration.record)
        let uuid = migration.record.uuid
        let shares = ticket.sharesDirectory
        var record = migration.record
        record.complete = false
        record.disks = localSpec(migration).disks
        record.arrivedBy = nil
        if !shares { record.generation = try await firstGeneration(uuid) }
        record.move = InstanceMove(
            role: .arriving,
            peer: migration.source,
            transfer: migration.transfer,
            sharesDirectory: shares,
            resize: migration.resize
        )
        let arriving = try await takeResize(Instance(record))
        return try await arriving.lane.run {
            guard !arriving.isGone, arriving.isArriving else { throw OperationError.exists(record.name) }
            do {
                if !shares {
                    try await dropLeftover(uuid)
                    if try await !directory(uuid).isMarked() { _ = try await directory(uuid).create(owner: host) }
                }
                try await journal.save(arriving.record)
                guard !shares else { return [:] }
                let disks = arriving.record.disks.enumerated().filter { $0.element.role != .volume }
                return try await carrier.expect(
                    uuid,
                    transfer: migration.transfer,
                    disks: disks.map { CarriedDisk(number: $0.offset, path: $0.element.path) },
                    from: ticket[IncomingMigration.diskSourceKey]?.objectValue ?? [:]
                )
            } catch {
                throw OperationError(error, failure: .migrationError, instance: nil, host: host)
            }
        }
    }

    /// Registers an arriving instance, or finds the one of the same transfer, which keeps what has come.
    private func takeResize(_ arriving: Instance) async throws -> Instance {
        guard let transfer = arriving.record.move?.transfer else { return arriving }
        while let present = register(arriving) {
            switch Arrival(present.record).answer(to: .prepare(transfer)) {
            case .repeatAnswer, .prepare: return present
            case .ask(let other):
                guard try await isForgotten(present, other) else {
                    throw preCheckError("another migration to host \(host) is not over")
                }
                try await abandonIncoming(arriving.uuid, transfer: other)
            default: throw OperationError.exists(arriving.record.name)
            }
        }
        return arriving
    }

    package func buildResize(_ uuid: InstanceUUID, transfer: String) async throws {
        try requireService()
        let arriving = try existing(uuid)
        try await arriving.lane.run {
            guard !arriving.isGone, let move = arriving.record.move, move.transfer == transfer, move.role == .arriving,
                let resize = move.resize
            else { throw OperationError.notFound(uuid.text) }
            if move.isPrepared { return }
            carrier.forget(transfer)
            do {
                var record = arriving.record
                if move.sharesDirectory {
                    record.flavor = resize.flavor
                } else {
                    record = try await fitDisks(record, to: resize.flavor)
                }
                record = try await connectVolumes(of: record)
                // Of an earlier attempt, which may have come to another definition.
                try await removeMachine(uuid)
                try await define(record)
                record.move?.isPrepared = true
                try await journal.save(record)
                _ = arriving.update { $0 = record }
            } catch {
                throw OperationError(error, failure: .migrationError, instance: nil, host: host)
            }
        }
    }

    /// The machine is this host's: it waits here to be confirmed or reverted. In the lane only.
    func runResized(_ instance: Instance) async throws {
        let uuid = instance.uuid
        guard let resize = instance.record.move?.resize else { return }
        var record = instance.record
        record.complete = true
        record.state = .off
        record.arrivedBy = record.move?.transfer
        record.move?.role = .resized
        record.move?.resize?.isStarting = resize.powerOn
        record = try await asOwner(record, sharesDirectory: record.move?.sharesDirectory ?? false)
        // Durable before the source stops asking.
        try await journal.save(record)
        _ = instance.update { $0 = record }
        await publish(instance)
        do {
            try await startResized(instance)
        } catch {
            // It is here, whole and off; its users can start it, or revert.
            logger.error("migrated instance not started", metadata: ["instance": "\(uuid)", "error": "\(error)"])
        }
    }

    /// Starts a machine that is to run after a resize, once. In the lane only.
    func startResized(_ instance: Instance) async throws {
        guard instance.record.move?.resize?.isStarting == true else { return }
        do {
            try await start(instance, from: .off, failure: .instancePowerOnFailure)
        } catch {
            await remember(instance) { $0.move?.resize?.isStarting = false }
            await publish(instance)
            throw error
        }
        await remember(instance) { record in
            record.state = .running
            record.move?.resize?.isStarting = false
        }
    }
}
