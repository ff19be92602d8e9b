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

    private func end(_ uuid: InstanceUUID, keepsFiles: Bool) async throws {
        if try await operations.presentInfo(uuid) != nil {
            logger.notice("instance was evacuated from this host", metadata: ["instance": "\(uuid)"])
        }
        try await operations.removeEvacuated(uuid, keepsFiles: keepsFiles, OperationContext())
    }
}
