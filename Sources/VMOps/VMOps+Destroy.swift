import Console
package import HostBackend
import Journal
import Support
import Synchronization

extension VMOps {
    /// Removes an instance (VM operations, section 6.9); one that is not there is removed already. Each step is tried
    /// whatever became of the others; the first error is thrown at the end, and a repetition goes on from there.
    ///
    /// - Parameters:
    ///   - interfaces: what the request says is plugged, beside what the record knows.
    ///   - volumes: what the request says is connected.
    ///   - destroyDisks: `false` keeps the instance's files and console log.
    package func destroy(
        _ uuid: InstanceUUID,
        interfaces: [NetworkInterface],
        volumes: [VolumeConnection],
        destroyDisks: Bool,
        _ context: OperationContext
    ) async throws {
        while true {
            guard let instance = instance(uuid) else {
                // It lives elsewhere; what it left here may be all there is of its log, or of the guest on its way.
                await finishLeftover(uuid)
                if leftovers.withLock({ $0[uuid] != nil }) { return }
                if try await destroyUnknown(uuid, interfaces, volumes, destroyDisks) { return }
                continue
            }
            let kind = OperationKind(
                name: "destroy",
                state: .deleting,
                failure: .instanceTerminationFailure,
                impatient: true
            )
            do {
                return try await perform(kind, on: instance, context) {
                    try await tearDown(instance, interfaces, volumes, destroyDisks)
                }
            } catch let error as OperationError where error.code == .instanceNotFound {
                return
            }
        }
    }

    private func tearDown(
        _ instance: Instance,
        _ interfaces: [NetworkInterface],
        _ volumes: [VolumeConnection],
        _ destroyDisks: Bool
    ) async throws {
        let uuid = instance.uuid
        var failures = FirstError()
        await failures.collect { try await backend.cancelJobs(uuid) }
        let isGone = await removeMachine(uuid, &failures) { await self.closeConsole(instance, mark: .stop) }
        let record = instance.record
        await disconnect(uuid, record.interfaces + interfaces, record.volumes + volumes, &failures)
        // A machine that may still run keeps its files; those that another host sees too are that host's.
        let isOthers = record.move?.role == .arriving && record.move?.sharesDirectory == true
        if isGone, destroyDisks, !isOthers {
            await failures.collect { try await removeFiles(uuid) }
        } else if isGone, !isOthers, try await directory(uuid).isMarked() {
            // The files stay; how its volumes are reached is nobody's business any more.
            await failures.collect { try await directory(uuid).publish(record.generation, "", sync: false) }
        }
        if failures.error == nil {
            if let move = record.move, move.peer != host, [.resized, .confirming].contains(move.role) {
                return try await letGoOfSource(instance)
            }
            await failures.collect { try await journal.remove(uuid) }
        }
        if let error = failures.error {
            throw OperationError(error, failure: .instanceTerminationFailure, instance: nil, host: host)
        }
        unregister(instance)
    }

    /// The instance is gone, and so must be what another host keeps for its way back, now or as soon as that answers.
    private func letGoOfSource(_ instance: Instance) async throws {
        var record = instance.record
        record.complete = false
        record.move?.role = .confirming
        do {
            try await journal.save(record)
        } catch {
            throw OperationError(error, failure: .instanceTerminationFailure, instance: nil, host: host)
        }
        _ = instance.update { $0 = record }
        _ = await finishLeaving(instance)
    }

    private func disconnect(
        _ uuid: InstanceUUID,
        _ interfaces: [NetworkInterface],
        _ volumes: [VolumeConnection],
        _ failures: inout FirstError
    ) async {
        var seen: Set<String> = []
        for interface in interfaces where seen.insert(interface.id).inserted {
            await failures.collect { try await backend.unplugInterface(interface, of: uuid) }
        }
        var connected: Set<String> = []
        for volume in volumes where connected.insert(volume.volumeID).inserted {
            await failures.collect { try await backend.disconnectVolume(volume) }
        }
    }

    /// Files may be held open for a moment by whatever just ended.
    func removeFiles(_ uuid: InstanceUUID) async throws {
        try await console.delete(uuid, directory: directory(uuid).path)
        let directory = directory(uuid)
        try await backend.removeFiles(directory.path)
        let deadline = ContinuousClock.now + settings.removeDirectoryTimeout
        while true {
            do {
                return try await directory.remove()
            } catch {
                guard ContinuousClock.now < deadline else { throw error }
                try await Task.sleep(for: .milliseconds(200))
            }
        }
    }

    /// The machine or the files may exist although this worker has no record of them: only if they are ours by the
    /// machine's note or the directory's marker.
    ///
    /// - Returns: `false` when an instance with this uuid has appeared meanwhile.
    private func destroyUnknown(
        _ uuid: InstanceUUID,
        _ interfaces: [NetworkInterface],
        _ volumes: [VolumeConnection],
        _ destroyDisks: Bool
    ) async throws -> Bool {
        // Keeps a spawn of this uuid out until nothing of the old one is left.
        let placeholder = Instance(
            InstanceRecord(uuid: uuid, name: uuid.text, memoryMB: 0, vcpus: 0, rootGB: 0, createdAt: 0)
        )
        placeholder.begin(Instance.Activity(operation: "destroy", state: .deleting))
        guard register(placeholder) == nil else { return false }
        defer { unregister(placeholder) }
        return try await placeholder.lane.run {
            var failures = FirstError()
            let isGone = await removeMachine(uuid, &failures)
            await disconnect(uuid, interfaces, volumes, &failures)
            if isGone, destroyDisks {
                await failures.collect { if try await directory(uuid).isMarked() { try await removeFiles(uuid) } }
            }
            if let error = failures.error {
                throw OperationError(error, failure: .instanceTerminationFailure, instance: uuid.text, host: host)
            }
            return true
        }
    }
}
