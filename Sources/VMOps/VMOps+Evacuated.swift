import Console
package import HostBackend
import Journal
import Support
import Synchronization

/// Instances that a control plane has given to other hosts while this one was taken for dead.
extension VMOps {
    /// Whether the storage that this host sees has what is needed to run an instance that another host had.
    package func isStored(_ uuid: InstanceUUID) async throws -> Bool {
        // What is kept here for a way back is as old as that.
        if let move = leftovers.withLock({ $0[uuid]?.record.move }), !move.sharesDirectory { return false }
        guard let text = try await directory(uuid).owner()?.text else { return false }
        return StoredInstance(text: text)?.record.uuid == uuid
    }

    /// Whether the instance was spawned here by that very request, which comes a second time then.
    package func isSpawned(_ uuid: InstanceUUID, by context: OperationContext) -> Bool {
        guard let key = context.requestKey, let record = instance(uuid)?.record else { return false }
        return record.complete && record.spawnRequest == key
    }

    /// Ends what this host still has of an instance that runs on another one, or is about to.
    ///
    /// - Parameter keepsFiles: the other host may still need them. Those that are another host's by what their directory
    ///   says stay in any case.
    /// - Throws: what came of removing it; it may be repeated.
    package func removeEvacuated(
        _ uuid: InstanceUUID,
        keepsFiles: Bool,
        _ context: OperationContext
    ) async throws {
        if let instance = instance(uuid), !instance.isGone {
            let isTaken = await isTaken(instance.record)
            guard keepsFiles || isTaken else {
                return try await destroy(uuid, interfaces: [], volumes: [], destroyDisks: true, context)
            }
            try await instance.lane.run {
                if instance.isGone { return }
                await giveWay(instance.record)
                guard self.instance(uuid) == nil else {
                    throw OperationError(
                        .instanceTerminationFailure,
                        "Instance \(uuid) could not be removed from host \(host).",
                        details: ["reason": "its machine could not be ended"]
                    )
                }
            }
        } else if !keepsFiles, try await isOwnDirectory(uuid) {
            try await destroy(uuid, interfaces: [], volumes: [], destroyDisks: true, context)
        }
    }

    private func isOwnDirectory(_ uuid: InstanceUUID) async throws -> Bool {
        let directory = directory(uuid)
        return try await BlockingPool.shared.run { try directory.ownerName() } == host
    }
}
