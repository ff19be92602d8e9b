import HostBackend
import Logging
import NovaObjects
import OpenStackAPI
import OsloMessaging
import Support
import VMOps

/// What other hosts were given while this one was taken for dead. On storage that hosts share they have it already, and
/// this host has given way before it came here; otherwise it is removed, with its disks.
extension ComputeService {
    /// Ends what is not this host's any more, and takes note of it in the records of the evacuations.
    ///
    /// - Parameters:
    ///   - open: the instances that accepted requests are about, which have the say.
    ///   - provider: the host's at placement, as far as it is known.
    /// - Returns: the instances that somebody is evacuating just now: nothing is to be done about them here.
    func removeEvacuated(open: Set<String>, provider: String?) async throws -> Set<String> {
        var underWay: Set<String> = []
        for migration in try await conductor.evacuations(from: host) {
            guard let text = migration["instance_uuid"]?.stringValue, let uuid = InstanceUUID(text) else { continue }
            let context = AdminContext.make(readsDeleted: true)
            let record = try await conductor.instance(text, context: context)
            let isDone = migration["status"]?.stringValue == MigrationStatus.done.rawValue
            let isAway = record == nil || record?.isDeleted == true || record?.host != host
            // One that is not done and not being done was given up without a word, and the instance is where it was.
            let isBeingDone =
                !isDone && TaskState.rebuilds.contains { $0.rawValue == record?.taskState } && !open.contains(text)
            if isBeingDone { underWay.insert(text) }
            guard isAway || isBeingDone || isDone else { continue }
            do {
                if isAway || isBeingDone { try await end(uuid, keepsFiles: isBeingDone) }
                if isBeingDone { continue }
                if isAway, let provider, let placement = methods.cloud.placement, record?.isDeleted == false {
                    _ = try await placement.deleteAllocations(of: text, from: provider)
                }
                try await conductor.save(migration, status: .completed, context: context)
            } catch {
                if Task.isCancelled { throw CancellationError() }
                // The next comparison finds it again.
                logger.error("evacuated instance not removed", metadata: ["instance": "\(text)", "error": "\(error)"])
            }
        }
        return underWay
    }

    /// Takes instances back that were evacuated from here to no avail: on storage that hosts share, the other one had
    /// taken them over before it failed, and this one gave way when it was back. A host that does not answer may have
    /// them.
    func takeBack(_ instances: [NovaInstance]) async {
        var silent: Set<String> = []
        for instance in instances {
            do {
                guard let uuid = InstanceUUID(instance.uuid), let owner = try await operations.storedOwner(uuid),
                    !silent.contains(owner)
                else { continue }
                guard await operations.isAnswering(owner) else {
                    silent.insert(owner)
                    continue
                }
                try await takeBack(uuid)
            } catch {
                if Task.isCancelled { return }
                logger.warning(
                    "instance that nobody has not taken back",
                    metadata: ["instance": "\(instance.uuid)", "error": "\(error)"]
                )
            }
        }
    }

    private func takeBack(_ uuid: InstanceUUID) async throws {
        let context = AdminContext.make()
        // Somebody may have begun to evacuate it again meanwhile.
        guard let instance = try await conductor.instance(uuid.text, context: context), instance.host == host,
            instance.vmState == .error, instance.taskState == nil, try await !openRequests().contains(uuid.text),
            let info = try await operations.takeBack(uuid, OperationContext())
        else { return }
        logger.notice("instance taken back that nobody has", metadata: ["instance": "\(uuid)"])
        await methods.bindPorts(instance, context)
        let changes: JSONObject = [
            "vm_state": .string(VMState.stopped.rawValue), "power_state": .int(Int64(info.powerState)),
        ]
        _ = try await conductor.save(instance, changes, expected: [nil], context: context)
    }

    private func end(_ uuid: InstanceUUID, keepsFiles: Bool) async throws {
        if try await operations.presentInfo(uuid) != nil {
            logger.notice("instance was evacuated from this host", metadata: ["instance": "\(uuid)"])
        }
        try await operations.removeEvacuated(uuid, keepsFiles: keepsFiles, OperationContext())
    }
}
