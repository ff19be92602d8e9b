import Console
import HostBackend
import Journal
import Logging
import Support
import Synchronization

/// Instances on storage that hosts share belong to one host at a time. One that is not the owner any more, because the
/// instance was evacuated while it was away, neither starts nor keeps it.
extension VMOps {
    /// Lets other hosts know what they need to run the instance should this one be gone. A directory that cannot be
    /// written to is no reason to fail: what the instance does there will show.
    func publish(_ instance: Instance) async {
        let record = instance.record
        do {
            let text = try stored(record).text()
            try await directory(record.uuid).publish(record.generation, text, sync: false)
        } catch {
            logger.warning(
                "instance not described in its directory",
                metadata: ["instance": "\(record.uuid)", "error": "\(error)"]
            )
        }
    }

    /// What is meant to run counts as running, although it is off until the end of its move: moves are none of what
    /// other hosts read here.
    private func stored(_ record: InstanceRecord) -> StoredInstance {
        var record = record
        if record.move?.resize?.isStarting == true { record.state = .running }
        return StoredInstance(owner: host, record: record)
    }

    /// Makes the record's host the owner of that number. Throws when another one is.
    func takeOwnership(_ record: InstanceRecord, _ generation: Int) async throws -> InstanceRecord {
        var record = record
        record.generation = generation
        let text = try stored(record).text()
        guard try await directory(record.uuid).take(generation, text) else {
            // By this host, if an earlier attempt came so far.
            guard let present = try await directory(record.uuid).owner(), present.generation == generation,
                StoredInstance(text: present.text)?.owner == host
            else { throw takenError(record.uuid) }
            return record
        }
        return record
    }

    private func takenError(_ uuid: InstanceUUID) -> OperationError {
        OperationError.invalidState(uuid.text, state: "taken by another host", method: "run the instance")
    }

    /// Before a machine is started: it is still this host's.
    func requireOwned(_ record: InstanceRecord) async throws {
        if try await isOthers(record) { throw takenError(record.uuid) }
    }

    /// Before an instance is made: its directory, on storage that hosts share, is not another's.
    func requireUnclaimed(_ uuid: InstanceUUID, _ name: String) async throws {
        guard let owner = try await ownerName(uuid), owner != host else { return }
        throw OperationError(
            .instanceExists,
            "Instance \(name) already exists on host \(owner), which has its directory.",
            details: ["name": name, "host": owner]
        )
    }

    private func ownerName(_ uuid: InstanceUUID) async throws -> String? {
        let directory = directory(uuid)
        return try await BlockingPool.shared.run { try directory.ownerName() }
    }

    /// The number with which an instance begins on this storage: after those of earlier ones that had its uuid, whose
    /// owners may come back.
    func firstGeneration(_ uuid: InstanceUUID) async throws -> Int {
        try await directory(uuid).lastOwnerBeforeRemoval().map { $0 + 1 } ?? 0
    }

    /// Whether there is, or was, a later owner, and it is none of this host's own attempts.
    private func isOthers(_ record: InstanceRecord) async throws -> Bool {
        let directory = directory(record.uuid)
        if let last = try await directory.lastOwnerBeforeRemoval(), last > record.generation { return true }
        if !record.complete, record.move == nil, let owner = try await ownerName(record.uuid), owner != host {
            // This host wanted to make it at the same time, and was second.
            return true
        }
        guard try await directory.isTaken(from: record.generation) else { return false }
        guard let text = try await directory.owner()?.text else { return false }
        return StoredInstance(text: text)?.owner != host
    }

    /// Whether the instance has been taken from this host. One whose machine has left it, or that may have, is another
    /// matter: there the hosts agreed.
    func isTaken(_ record: InstanceRecord) async -> Bool {
        switch record.move?.role {
        case nil, .leaving, .resized, .confirming, .arrived, .arriving:
            return (try? await isOthers(record)) ?? false
        case .left, .delivered, .kept, .reverting: return false
        }
    }

    /// The instance is another host's, or was until it was destroyed there: ends its machine here, and forgets it. Files
    /// stay.
    func giveWay(_ record: InstanceRecord) async {
        let uuid = record.uuid
        logger.notice("instance taken over by another host", metadata: ["instance": "\(uuid)"])
        var failures = FirstError()
        _ = await removeMachine(uuid, &failures) { await self.console.close(uuid, mark: nil) }
        await failures.collect { try await disconnectAll(record) }
        if failures.error == nil { await failures.collect { try await journal.remove(uuid) } }
        if let error = failures.error {
            // Kept, and tried again; it cannot be started.
            _ = register(Instance(record))
            logger.error(
                "instance of another host not removed",
                metadata: ["instance": "\(uuid)", "error": "\(error)"]
            )
        } else if let instance = instance(uuid) {
            unregister(instance)
        }
    }

    /// Whether an instance of which this host keeps something for the way back belongs to a third host since: that
    /// which it had gone to is gone, and nobody will confirm or revert that move any more.
    func isEvacuated(_ kept: InstanceRecord, _ move: InstanceMove) async throws -> Bool {
        guard move.role == .kept, move.sharesDirectory else { return false }
        // The one after this host's is that of the host it went to.
        let last = kept.generation + 1
        if let removed = try await directory(kept.uuid).lastOwnerBeforeRemoval(), removed > last { return true }
        guard let (generation, text) = try await directory(kept.uuid).owner(), generation > last,
            let owner = StoredInstance.owner(in: text)
        else { return false }
        return owner != host
    }

    /// Lets go of what is kept for a way back that will not be gone.
    func forgetIfEvacuated(_ uuid: InstanceUUID) async {
        guard leftovers.withLock({ $0[uuid]?.record.move?.role == .kept }) else { return }
        await finishLeftover(uuid)
    }

    /// This host itself has taken over the instance of which it kept something for the way back.
    func forgetKeptHere(_ uuid: InstanceUUID) async {
        guard let kept = leftovers.withLock({ $0[uuid] }), let move = kept.record.move, move.role == .kept else {
            return
        }
        // What is left to do about it would be done to the instance that runs here.
        leftovers.withLock { _ = $0.removeValue(forKey: uuid) }
        try? await dropBackup(uuid, move.transfer)
        try? await directory(uuid).remove(file: kept.token(move))
    }

    /// Looks whether instances were taken while this host was cut off. In the instance's lane only.
    func giveWayIfTaken(_ instance: Instance) async -> Bool {
        guard await isTaken(instance.record) else { return false }
        await giveWay(instance.record)
        return true
    }
}
