import Console
import HostBackend
import Journal
import Logging
import Support
import Synchronization

/// What a migration leaves at its source: finished as soon as the destination lets it, also by a later worker.
///
/// An instance that has left is no instance of this host any more; another one may take its uuid at any time.
extension VMOps {
    /// How often a console is looked at before it is taken for one that does not open.
    private static let consoleLooks = 200

    /// The machine runs at the destination, or is about to.
    ///
    /// - Returns: the instance as the destination sees it, `nil` if it could not be asked.
    func finishLeaving(_ instance: Instance) async -> InstanceInfo? {
        _ = leftovers.withLock { $0.updateValue(instance, forKey: instance.uuid) }
        unregister(instance)
        await remember(instance) { if $0.move?.role == .leaving { $0.move?.role = .left } }
        // Awaited right here; unstructured only because past the switch-over a cancelled task changes nothing.
        return await Task { try? await instance.leavingLane.run { await self.finishSteps(instance) } }.value ?? nil
    }

    /// Tries once to do what is left to do for a uuid.
    func finishLeftover(_ uuid: InstanceUUID) async {
        guard let leftover = leftovers.withLock({ $0[uuid] }) else { return }
        _ = try? await leftover.leavingLane.run { await finishSteps(leftover) }
    }

    /// Gives up what is left of a uuid that is about to be used again. A console log that was not delivered is kept
    /// beside. Throws when the machine is not known to run at its destination: what is left here may be all there is.
    func dropLeftover(_ uuid: InstanceUUID) async throws {
        await forgetIfEvacuated(uuid)
        guard let leftover = leftovers.withLock({ $0[uuid] }) else { return }
        try await leftover.leavingLane.run {
            guard leftovers.withLock({ $0[uuid] === leftover }) else { return }
            guard leftover.record.move?.role == .delivered else {
                throw OperationError.exists(leftover.record.name)
            }
            leftovers.withLock { _ = $0.removeValue(forKey: uuid) }
            try? await backend.finishOutgoing(uuid)
            await keepAside(leftover)
        }
    }

    /// Puts the files of an instance that has left out of the way.
    func keepAside(_ leftover: Instance) async {
        guard leftover.record.move?.sharesDirectory != true else { return }
        if let aside = try? await directory(leftover.uuid).moveAside() {
            logger.warning(
                "console log of a migrated instance kept aside",
                metadata: ["instance": "\(leftover.uuid)", "moved_to": "\(aside)"]
            )
        }
    }

    /// Does what is left to do at the source, as far as the destination lets it; every step may be repeated.
    private func finishSteps(_ leftover: Instance) async -> InstanceInfo? {
        let uuid = leftover.uuid
        guard let move = leftover.record.move, leftovers.withLock({ $0[uuid] === leftover }) else { return nil }
        var info: InstanceInfo?
        do {
            if move.isCold { return try await finishColdSteps(leftover, move) }
            switch move.role.step(machineIsHere: false) {
            case .recordLeft, .finishThere:
                if move.sharesDirectory { await closeConsole(leftover, mark: nil) }
                info = try await handOver(leftover, move)
            default: break
            }
            try await cleanUp(leftover, move)
            leftovers.withLock { leftovers in
                if leftovers[uuid] === leftover { leftovers[uuid] = nil }
            }
        } catch {
            logger.warning(
                "source of a migration not finished yet",
                metadata: ["instance": "\(uuid)", "destination": "\(move.peer)", "error": "\(error)"]
            )
        }
        return info
    }

    /// Gives the machine to the destination. Until that has said that it runs there, everything here stays.
    private func handOver(_ leftover: Instance, _ move: InstanceMove) async throws -> InstanceInfo? {
        var info: InstanceInfo?
        do {
            info = try await peers.peer(move.peer).finishIncoming(leftover.uuid, transfer: move.transfer)
        } catch let error as OperationError where error.code == .instanceNotFound {
            // Destroyed there, or moved on.
        }
        var record = leftover.record
        record.move?.role = .delivered
        try await journal.save(record)
        _ = leftover.update { $0 = record }
        return info
    }

    /// The machine runs elsewhere: each step is tried whatever became of the others.
    private func cleanUp(_ leftover: Instance, _ move: InstanceMove) async throws {
        let uuid = leftover.uuid
        var failures = FirstError()
        await failures.collect {
            guard !move.sharesDirectory else { return }
            do {
                try await moveConsole(leftover, transfer: move.transfer, to: peers.peer(move.peer))
            } catch let error as OperationError where error.code == .instanceNotFound {
                // Nobody wants the log any more, unless the instance lives there and only does not take it.
                await closeConsole(leftover, mark: nil)
                if (try? await peers.peer(move.peer).presentInfo(uuid)) ?? nil != nil { await keepAside(leftover) }
            }
        }
        for interface in leftover.record.interfaces {
            await failures.collect { try await backend.unplugInterface(interface, of: uuid) }
        }
        await failures.collect { try await backend.finishOutgoing(uuid) }
        for volume in leftover.record.volumes {
            await failures.collect { try await backend.disconnectVolume(volume) }
        }
        if failures.error == nil {
            if move.sharesDirectory {
                await failures.collect { try await directory(uuid).remove(file: leftover.token(move)) }
            } else {
                await failures.collect { try await removeFiles(uuid) }
            }
        }
        if failures.error == nil { await failures.collect { try await journal.remove(uuid) } }
        if let error = failures.error { throw error }
    }

    // MARK: Taking up again

    /// An earlier worker ended in the middle of a live migration.
    func takeUp(_ record: InstanceRecord, _ move: InstanceMove) async {
        switch move.role {
        case .leaving where move.isCold:
            // Off or not, it is this host's, and will be as it was before.
            let instance = Instance(record)
            _ = register(instance)
            await fitConsole(instance)
        case .resized, .confirming, .reverting:
            await takeUpResized(record, move)
        case .kept,
            .left where move.isCold:
            leftovers.withLock { $0[record.uuid] = Instance(record) }
        case .arriving:
            // The source knows whether the machine has left; it will say so.
            _ = register(Instance(record))
        case .arrived:
            await adopt(record)
        case .left, .delivered:
            await takeUp(leftover: Instance(record), move)
        case .leaving:
            do {
                if try await machine(record.uuid) == nil {
                    await takeUp(leftover: Instance(record), move)
                } else {
                    await adopt(record)
                }
            } catch {
                logger.error(
                    "instance in the middle of a migration not taken up",
                    metadata: ["instance": "\(record.uuid)", "error": "\(error)"]
                )
                await adopt(record)
            }
        }
    }

    private func takeUpResized(_ record: InstanceRecord, _ move: InstanceMove) async {
        if move.role == .reverting, move.peer == host {
            _ = register(Instance(record))
        } else if move.role == .reverting || !record.complete {
            leftovers.withLock { $0[record.uuid] = Instance(record) }
        } else {
            await adopt(record)
            guard let instance = instance(record.uuid) else { return }
            do {
                try await startResized(instance)
            } catch {
                logger.error(
                    "resized instance not started",
                    metadata: ["instance": "\(record.uuid)", "error": "\(error)"]
                )
            }
        }
    }

    /// What was decided about a resize is carried out. In the lane only.
    private func settleResize(_ instance: Instance) async {
        guard !instance.isGone, let move = instance.record.move else { return }
        switch move.role {
        case .confirming: await settleConfirmation(instance)
        case .reverting where move.peer == host:
            do {
                try await revertHere(instance)
            } catch {
                logger.error(
                    "resize not reverted yet",
                    metadata: ["instance": "\(instance.uuid)", "error": "\(error)"]
                )
            }
        default: break
        }
    }

    /// What the machine printed before it left, and the earlier worker had not read, belongs to its log.
    private func takeUp(leftover: Instance, _ move: InstanceMove) async {
        leftovers.withLock { $0[leftover.uuid] = leftover }
        // In a shared directory the log is the destination's as soon as that was told to run the machine.
        let isOurs = !move.sharesDirectory || move.role == .leaving
        guard isOurs, backend.capabilities.has(.consoleResumable) else { return }
        await ensureConsole(leftover, mark: nil)
        let directory = directory(leftover.uuid).path
        for _ in 0..<Self.consoleLooks {
            let status = try? await console.status(leftover.uuid, directory: directory)
            guard status?.state == .connecting || status?.state == .idle else { return }
            do { try await Task.sleep(for: .milliseconds(10)) } catch { return }
        }
    }

    func finishMovesRegularly() async {
        while !Task.isCancelled {
            for instance in allInstances
            where [.confirming, .reverting].contains(instance.record.move?.role) && !instance.lane.isBusy {
                _ = try? await instance.lane.run { await settleResize(instance) }
            }
            for uuid in leftovers.withLock({ Array($0.keys) }) { await finishLeftover(uuid) }
            for instance in allInstances
            where instance.record.move?.role == .leaving && !instance.lane.isBusy {
                _ = try? await instance.lane.run { await clearMove(instance) }
            }
            for instance in allInstances
            where [.arriving, .arrived].contains(instance.record.move?.role) && !instance.lane.isBusy {
                await settleArrival(instance)
            }
            do {
                try await Task.sleep(for: settings.migrationRetryInterval)
            } catch {
                return
            }
        }
    }

    /// The machine stayed here: has the destination cleaned up after a migration that came to nothing.
    ///
    /// - Returns: whether nothing is left of it.
    @discardableResult
    func clearMove(_ instance: Instance) async -> Bool {
        guard !instance.isGone, let move = instance.record.move, move.role == .leaving else { return true }
        if move.isCold { return await clearColdMove(instance, move) }
        do {
            let isHere = try await machine(instance.uuid) != nil
            guard move.role.step(machineIsHere: isHere) == .abandonThere else {
                _ = await finishLeaving(instance)
                return false
            }
            try await peers.peer(move.peer).abandonIncoming(instance.uuid, transfer: move.transfer)
            try await directory(instance.uuid).remove(file: instance.token(move))
        } catch {
            logger.warning(
                "destination not cleaned up after a failed migration",
                metadata: ["instance": "\(instance.uuid)", "destination": "\(move.peer)", "error": "\(error)"]
            )
            return false
        }
        await remember(instance) { $0.move = nil }
        return true
    }

    private func clearColdMove(_ instance: Instance, _ move: InstanceMove) async -> Bool {
        do {
            try await stay(instance, move)
        } catch {
            logger.warning(
                "resize that came to nothing not cleaned up yet",
                metadata: ["instance": "\(instance.uuid)", "destination": "\(move.peer)", "error": "\(error)"]
            )
            return false
        }
        await remember(instance) { $0.move = nil }
        return true
    }
}

extension Instance {
    func token(_ move: InstanceMove) -> String { IncomingMigration.tokenPrefix + move.transfer }
}
