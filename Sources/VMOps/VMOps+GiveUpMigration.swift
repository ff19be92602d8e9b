import Console
package import HostBackend
import Journal
import Logging
import Support
import Synchronization

extension VMOps {
    /// An operator's word that the other host of a migration is gone for good: this one forgets the migration and
    /// waits for it no more.
    ///
    /// - Parameter runHere: the machine has stopped for the move and runs nowhere, so it goes on here. Whoever says so
    ///   must know that the other host does not run it and never will: nobody else can tell.
    /// - Returns: the instance, if this host has it afterwards.
    package func giveUpMigration(
        _ uuid: InstanceUUID,
        runHere: Bool,
        _ context: OperationContext
    ) async throws -> InstanceInfo? {
        // A way back that is closed is not to be gone by force either.
        await forgetIfEvacuated(uuid)
        if let leftover = leftovers.withLock({ $0[uuid] }) {
            return try await leftover.leavingLane.run { try await giveUp(leftover, runHere) }
        }
        let instance = try existing(uuid)
        guard !instance.lane.isBusy else {
            throw OperationError.invalidState(uuid.text, state: "migrating", method: "give_up_live_migration")
        }
        let kind = OperationKind(name: "give_up_live_migration", state: nil, failure: .migrationError)
        return try await perform(kind, on: instance, context) {
            guard let move = instance.record.move else { return makeInfo(instance, try await machine(uuid)) }
            switch move.role {
            case .arriving where runHere && move.isCold && !move.isPrepared:
                throw OperationError.invalidState(uuid.text, state: "not here", method: "give_up_live_migration")
            case .resized, .confirming:
                if move.sharesDirectory { try await dropBackup(uuid, move.transfer) }
                await remember(instance) { $0.move = nil }
            case .leaving where move.isCold:
                do {
                    try await stay(instance, move)
                } catch let error as OperationError where error.code == .hypervisorUnavailable {
                }
                try await directory(uuid).remove(file: instance.token(move))
                await remember(instance) { $0.move = nil }
            case .arriving where runHere:
                try await run(instance)
                await remember(instance) { $0.move = nil }
            case .arriving:
                try await remove(arriving: instance)
                return nil
            default:
                try await directory(uuid).remove(file: instance.token(move))
                await remember(instance) { $0.move = nil }
            }
            return makeInfo(instance, try await machine(uuid))
        }
    }

    /// In the leaving lane only.
    private func giveUp(_ leftover: Instance, _ runHere: Bool) async throws -> InstanceInfo? {
        let uuid = leftover.uuid
        guard leftovers.withLock({ $0[uuid] === leftover }) else { throw OperationError.notFound(uuid.text) }
        if let move = leftover.record.move, move.isCold { return try await giveUpCold(leftover, move, runHere) }
        if runHere { return try await takeBack(leftover) }
        for interface in leftover.record.interfaces { try? await backend.unplugInterface(interface, of: uuid) }
        for volume in leftover.record.volumes { try? await backend.disconnectVolume(volume) }
        await closeConsole(leftover, mark: nil)
        try await backend.finishOutgoing(uuid)
        await keepAside(leftover)
        try await journal.remove(uuid)
        leftovers.withLock { leftovers in
            if leftovers[uuid] === leftover { leftovers[uuid] = nil }
        }
        return nil
    }

    private func giveUpCold(_ leftover: Instance, _ move: InstanceMove, _ runHere: Bool) async throws -> InstanceInfo? {
        switch (move.role, runHere) {
        case (.left, true), (.kept, true): return try await bringBack(leftover)
        case (.reverting, true):
            // It went nowhere: what is here goes on.
            var record = leftover.record
            try await define(record)
            record.move = nil
            record.state = .off
            try await journal.save(record)
            let instance = Instance(record)
            leftovers.withLock { $0[record.uuid] = nil }
            guard register(instance) == nil else { throw OperationError.exists(record.name) }
            try await start(instance, from: .off, failure: .instancePowerOnFailure)
            await remember(instance) { $0.state = .running }
            return makeInfo(instance, try await machine(record.uuid))
        default:
            try await forgetKept(leftover)
            return nil
        }
    }

    private func takeBack(_ leftover: Instance) async throws -> InstanceInfo {
        let uuid = leftover.uuid
        guard leftover.record.move?.role != .delivered else {
            throw OperationError.invalidState(uuid.text, state: "migrated", method: "give_up_live_migration")
        }
        do {
            try await backend.takeBack(uuid)
        } catch {
            throw OperationError(error, failure: .migrationError, instance: uuid.text, host: host)
        }
        var record = leftover.record
        if let move = record.move { try await directory(uuid).remove(file: leftover.token(move)) }
        record.move = nil
        record.complete = true
        try await journal.save(record)
        let instance = Instance(record)
        leftovers.withLock { leftovers in
            if leftovers[uuid] === leftover { leftovers[uuid] = nil }
        }
        guard register(instance) == nil else { throw OperationError.exists(record.name) }
        await ensureConsole(instance, mark: .migration)
        let status = try await machine(uuid)
        if let status { await remember(instance) { $0.state = status.state } }
        return makeInfo(instance, status)
    }

    /// Finds an instance that has left this host, with something still to be done about it, by its name.
    package func findDeparted(_ name: String) -> InstanceUUID? {
        leftovers.withLock { $0.values.first { $0.record.name == name }?.uuid }
    }

    /// What became of a live migration that was asked for, when the instance is not here any more.
    ///
    /// - Returns: `nil` when neither this host nor the destination can tell.
    package func migrated(_ uuid: InstanceUUID, to destination: String) async -> InstanceInfo? {
        await finishLeftover(uuid)
        return try? await peers.peer(destination).presentInfo(uuid)
    }

    /// Ends what an attempt to move an instance away has left undone here: it is what and where it was, and runs if it
    /// ran. The other host may still have to be told.
    package func settleMove(_ uuid: InstanceUUID) async {
        guard let instance = instance(uuid) else { return }
        _ = try? await instance.lane.run { await clearMove(instance) }
    }

    /// What became of a cold migration that was to be taken back, when the instance is not here any more.
    package func reverted(_ uuid: InstanceUUID) async -> InstanceInfo? {
        guard let source = leftovers.withLock({ $0[uuid]?.record.move?.peer }) else { return nil }
        return await migrated(uuid, to: source)
    }
}
