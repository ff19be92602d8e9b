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
            let text = try StoredInstance(owner: host, record: record).text()
            try await directory(record.uuid).publish(record.generation, text, sync: false)
        } catch {
            logger.warning(
                "instance not described in its directory",
                metadata: ["instance": "\(record.uuid)", "error": "\(error)"]
            )
        }
    }

    /// Makes the record's host the owner of that number. Throws when another one is.
    func takeOwnership(_ record: InstanceRecord, _ generation: Int) async throws -> InstanceRecord {
        var record = record
        record.generation = generation
        let text = try StoredInstance(owner: host, record: record).text()
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

    /// The number with which an instance begins on this storage: after those of earlier ones that had its uuid, whose
    /// owners may come back.
    func firstGeneration(_ uuid: InstanceUUID) async throws -> Int {
        try await directory(uuid).lastOwnerBeforeRemoval().map { $0 + 1 } ?? 0
    }

    /// Whether there is, or was, a later owner, and it is none of this host's own attempts.
    private func isOthers(_ record: InstanceRecord) async throws -> Bool {
        let directory = directory(record.uuid)
        if let last = try await directory.lastOwnerBeforeRemoval(), last > record.generation { return true }
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

    /// Looks whether instances were taken while this host was cut off. In the instance's lane only.
    func giveWayIfTaken(_ instance: Instance) async -> Bool {
        guard await isTaken(instance.record) else { return false }
        await giveWay(instance.record)
        return true
    }
}
