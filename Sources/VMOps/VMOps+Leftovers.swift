import HostBackend
import Journal
import Logging
import Support
import Synchronization

/// What a live migration leaves at its source: finished as soon as the destination lets it, also by a later worker.
///
/// An instance that has left is no instance of this host any more; another one may take its uuid at any time.
extension VMOps {
    /// The machine runs at the destination, or is about to.
    ///
    /// - Returns: the instance as the destination sees it, `nil` if it could not be asked.
    func finishLeaving(_ instance: Instance) async -> InstanceInfo? {
        _ = leftovers.withLock { $0.updateValue(instance, forKey: instance.uuid) }
        unregister(instance)
        await remember(instance) { $0.move?.role = .left }
        // Awaited right here; unstructured only because past the switch-over a cancelled task changes nothing.
        return await Task { try? await instance.leavingLane.run { await self.finishSteps(instance) } }.value ?? nil
    }

    /// Tries once to do what is left to do for a uuid.
    func finishLeftover(_ uuid: InstanceUUID) async {
        guard let leftover = leftovers.withLock({ $0[uuid] }) else { return }
        _ = try? await leftover.leavingLane.run { await finishSteps(leftover) }
    }

    /// Gives up what is left of a uuid that is about to be used again. A console log that was not delivered is kept
    /// beside.
    func dropLeftover(_ uuid: InstanceUUID) async {
        guard let leftover = leftovers.withLock({ $0[uuid] }) else { return }
        _ = try? await leftover.leavingLane.run {
            guard leftovers.withLock({ $0.removeValue(forKey: uuid) }) != nil else { return }
            try? await backend.finishOutgoing(uuid)
            guard leftover.record.move?.sharesDirectory != true else { return }
            if let aside = try? await directory(uuid).moveAside() {
                logger.warning(
                    "console log of a migrated instance kept aside",
                    metadata: ["instance": "\(uuid)", "moved_to": "\(aside)"]
                )
            }
        }
    }

    /// Each step is tried whatever became of the others, and each may be repeated.
    private func finishSteps(_ leftover: Instance) async -> InstanceInfo? {
        let uuid = leftover.uuid
        guard let move = leftover.record.move, leftovers.withLock({ $0[uuid] === leftover }) else { return nil }
        var failures = FirstError()
        var info: InstanceInfo?
        await failures.collect {
            let peer = try peers.peer(move.peer)
            if move.sharesDirectory { await closeConsole(leftover, mark: nil) }
            do {
                info = try await peer.finishIncoming(uuid)
            } catch let error as OperationError where error.code == .instanceNotFound {
                // Destroyed there, or moved on: nobody wants the log any more.
                return await closeConsole(leftover, mark: nil)
            }
            if !move.sharesDirectory { try await moveConsole(leftover, transfer: move.transfer, to: peer) }
        }
        for interface in leftover.record.interfaces {
            await failures.collect { try await backend.unplugInterface(interface, of: uuid) }
        }
        await failures.collect { try await backend.finishOutgoing(uuid) }
        if failures.error == nil {
            if move.sharesDirectory {
                await failures.collect { try await directory(uuid).remove(file: leftover.token(move)) }
            } else {
                await failures.collect { try await removeFiles(uuid) }
            }
        }
        if failures.error == nil { await failures.collect { try await journal.remove(uuid) } }
        if let error = failures.error {
            logger.warning(
                "source of a migration not finished yet",
                metadata: ["instance": "\(uuid)", "destination": "\(move.peer)", "error": "\(error)"]
            )
        } else {
            leftovers.withLock { leftovers in
                if leftovers[uuid] === leftover { leftovers[uuid] = nil }
            }
        }
        return info
    }

    // MARK: Taking up again

    /// An earlier worker ended in the middle of a live migration.
    func takeUp(_ record: InstanceRecord, _ move: InstanceMove) async {
        switch move.role {
        case .arriving:
            // The source knows whether the machine has left; it will say so.
            _ = register(Instance(record))
        case .left:
            leftovers.withLock { $0[record.uuid] = Instance(record) }
        case .leaving:
            do {
                if try await machine(record.uuid) == nil {
                    leftovers.withLock { $0[record.uuid] = Instance(record) }
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

    func finishMovesRegularly() async {
        while !Task.isCancelled {
            for uuid in leftovers.withLock({ Array($0.keys) }) { await finishLeftover(uuid) }
            for instance in allInstances
            where instance.record.move?.role == .leaving && !instance.lane.isBusy {
                _ = try? await instance.lane.run { await clearMove(instance) }
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
        do {
            if try await machine(instance.uuid) == nil {
                _ = await finishLeaving(instance)
                return false
            }
            try await peers.peer(move.peer).abandonIncoming(instance.uuid)
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
}

extension Instance {
    fileprivate func token(_ move: InstanceMove) -> String { IncomingMigration.tokenPrefix + move.transfer }
}
