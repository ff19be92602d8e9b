import Console
import HostBackend
import Journal
import Logging
import Support
import Synchronization

/// The source's part of a cold migration (VM operations, section 9).
extension VMOps {
    private static let attempts = 5

    func migrateCold(
        _ instance: Instance,
        to destination: String,
        _ resize: InstanceResize,
        _ request: ResizeRequest
    ) async throws -> InstanceInfo {
        let uuid = instance.uuid
        let running = outgoing.add(1, ordering: .relaxed).newValue
        defer { outgoing.subtract(1, ordering: .relaxed) }
        guard running <= settings.maxOutgoingMigrations else {
            throw preCheckError("\(running - 1) migrations from host \(host) run already")
        }
        let peer = try peers.peer(destination)
        let transfer = UniqueID.make()
        var arriving = resize
        arriving.powerOn = request.powerOn ?? resize.powerOn
        var migration = IncomingMigration(
            record: instance.record,
            spec: machineSpec(instance.record),
            source: host,
            copyStorage: true,
            transfer: transfer,
            resize: arriving
        )
        let token = IncomingMigration.tokenPrefix + transfer
        try await directory(uuid).touch(token)
        let ticket: MigrationTicket
        var move = InstanceMove(
            role: .leaving,
            peer: destination,
            transfer: transfer,
            sharesDirectory: false,
            resize: resize
        )
        do {
            ticket = try await checkResize(migration, peer)
            move.sharesDirectory = ticket.sharesDirectory
            try await rememberResize(instance, move)
        } catch {
            try? await directory(uuid).remove(file: token)
            throw error
        }
        do {
            try await shutDown(instance, request)
            if move.sharesDirectory {
                try await backUpDisks(instance.record, transfer)
                migration.record = try await fitDisks(instance.record, to: resize.flavor)
                migration.spec = machineSpec(migration.record)
            }
            try await interruptible(instance) { [migration] in
                try await self.carry(instance, migration, ticket, peer)
            }
            var record = instance.record
            record.state = .off
            record.move?.role = .left
            // From here on the instance is the destination's.
            try await journal.save(record)
            _ = instance.update { $0 = record }
        } catch {
            let reason = error as? Interrupted
            await takeBackResize(instance)
            throw stayed(error, instance, reason: reason.map { "it was \($0.reason)" })
        }
        var expected = makeInfo(instance, nil)
        (expected.memoryMB, expected.vcpus) = (resize.flavor.memoryMB, resize.flavor.vcpus)
        expected.rootGB = resize.flavor.rootGB
        return await finishLeaving(instance) ?? departed(expected, to: destination)
    }

    private func checkResize(_ migration: IncomingMigration, _ peer: any MigrationPeer) async throws -> MigrationTicket
    {
        var ticket: MigrationTicket
        do {
            ticket = try await peer.checkResize(migration)
        } catch let error as OperationError where error.code == .hypervisorUnavailable {
            throw preCheckError(error.message)
        }
        guard !ticket.sharesDirectory else { return ticket }
        do {
            let ours = try carrier.agree(to: ticket[IncomingMigration.diskOfferKey]?.objectValue ?? [:])
            ticket[IncomingMigration.diskSourceKey] = .object(ours)
        } catch let error as BackendError {
            throw preCheckError(error.message)
        }
        return ticket
    }

    private struct Interrupted: Error {
        let reason: String
    }

    /// Runs `body` so that an abort ends it.
    private func interruptible(_ instance: Instance, _ body: @escaping @Sendable () async throws -> Void) async throws {
        let interruption = instance.beginInterruptible()
        defer { instance.endInterruptible() }
        do {
            try await interruption.cancelling(body)
        } catch {
            if let reason = interruption.reason { throw Interrupted(reason: reason) }
            throw error
        }
    }

    /// Brings everything there, and has the machine defined; both hosts have it then, off.
    private func carry(
        _ instance: Instance,
        _ migration: IncomingMigration,
        _ ticket: MigrationTicket,
        _ peer: any MigrationPeer
    ) async throws {
        let (uuid, transfer) = (instance.uuid, migration.transfer)
        if ticket.sharesDirectory {
            _ = try await peer.prepareResize(migration, ticket)
        } else {
            try await carryDisks(instance, migration, ticket, peer)
            // Unlike that of a machine that runs, a log that does not get through is no reason to lose it.
            try await console.move(
                uuid,
                directory: directory(uuid).path,
                transfer: transfer,
                mark: .migration,
                keepsSource: true,
                to: peer.consoleDestination(uuid)
            )
        }
        try await peer.buildResize(uuid, transfer: transfer)
    }

    /// Sends the disks, and when the connection ends, what is missing, as often as that leads further.
    private func carryDisks(
        _ instance: Instance,
        _ migration: IncomingMigration,
        _ ticket: MigrationTicket,
        _ peer: any MigrationPeer
    ) async throws {
        let (disks, temporary) = try await disksToSend(migration.record, migration.transfer)
        var failure: (any Error)?
        for attempt in 0..<Self.attempts {
            if attempt > 0 { try await Task.sleep(for: min(.seconds(attempt), settings.migrationRetryInterval)) }
            do {
                let way = try await peer.prepareResize(migration, ticket)
                try await carrier.send(disks, to: way) { done, total in
                    instance.report(
                        MigrationProgress(phase: .precopy, transferredBytes: done, remainingBytes: total - done)
                    )
                }
                return await directory(instance.uuid).removeSent(temporary)
            } catch let error as BackendError where [.unavailable, .timeout, .internal].contains(error.code) {
                failure = error
            } catch let error as OperationError where attempt > 0 && error.code == .hypervisorUnavailable {
                // It ended in the middle, and may be back soon.
                failure = error
            }
            logger.notice(
                "disks on their way are interrupted",
                metadata: [
                    "instance": "\(instance.uuid)", "attempt": "\(attempt + 1)",
                    "error": "\(failure.map { "\($0)" } ?? "")",
                ]
            )
        }
        throw failure ?? CancellationError()
    }

    // MARK: After the decision

    /// What is left to do at a host that the machine has left, as far as the other lets it; every step may be repeated.
    func finishColdSteps(_ leftover: Instance, _ move: InstanceMove) async throws -> InstanceInfo? {
        switch move.role.coldStep {
        case .finishThere: return try await finishThere(leftover, move)
        case .confirmThere:
            try await peers.peer(move.peer).confirmOutgoing(leftover.uuid, transfer: move.transfer)
            try await drop(leftover)
            return nil
        case .revertThere: return try await revertThere(leftover, move)
        default:
            guard try await isEvacuated(leftover.record, move) else { return nil }
            logger.notice(
                "instance was evacuated from the host that it had moved to: nothing is kept for its way back",
                metadata: ["instance": "\(leftover.uuid)", "host": "\(move.peer)"]
            )
            try await dropBackup(leftover.uuid, move.transfer)
            try await forgetKept(leftover)
            return nil
        }
    }

    private func finishThere(_ leftover: Instance, _ move: InstanceMove) async throws -> InstanceInfo? {
        let uuid = leftover.uuid
        // Nothing may run there that could run here.
        try await removeMachine(uuid)
        try await disconnectAll(leftover.record)
        if move.sharesDirectory { await closeConsole(leftover, mark: nil) }
        var info: InstanceInfo?
        do {
            info = try await peers.peer(move.peer).finishIncoming(uuid, transfer: move.transfer)
        } catch let error as OperationError where error.code == .instanceNotFound {
            // Reverted already, or destroyed: its word about that comes, or has come.
        }
        guard leftovers.withLock({ $0[uuid] === leftover }), leftover.record.move == move else { return info }
        var record = leftover.record
        record.move?.role = .kept
        try await journal.save(record)
        _ = leftover.update { $0 = record }
        return info
    }

    func disconnectAll(_ record: InstanceRecord) async throws {
        var failures = FirstError()
        for interface in record.interfaces {
            await failures.collect { try await backend.unplugInterface(interface, of: record.uuid) }
        }
        for volume in record.volumes {
            await failures.collect { try await backend.disconnectVolume(volume) }
        }
        if let error = failures.error { throw error }
    }

    /// Nothing is left to do, and nothing is left.
    func drop(_ leftover: Instance) async throws {
        try await journal.remove(leftover.uuid)
        leftovers.withLock { leftovers in
            if leftovers[leftover.uuid] === leftover { leftovers[leftover.uuid] = nil }
        }
    }
}
