import Logging
import NovaObjects
import OpenStackAPI
import Support

/// Keeps the placement service in line with the host: what it offers, and who holds something of it.
extension ComputeService {
    /// How long a migration may be over before its share is thought forgotten is one interval: only what looks forgotten
    /// twice in a row is freed, so that whoever is about to free it himself has the time.
    private static let done: Set<String> = [
        "completed", "done", "failed", "error", "cancelled", "confirmed", "reverted",
    ]

    /// Reports until the task is cancelled; a failure is made good by the next report.
    func reportProviderRegularly(_ records: ServiceRecords) async {
        guard methods.cloud.placement != nil else { return }
        methods.cloud.provider.uuid = records.nodeUUID
        methods.cloud.provider.isDisabled = records.service["disabled"]?.boolValue == true
        var pauses = Backoff(initial: .seconds(1), maximum: settings.resourceInterval)
        var isReported = false
        repeat {
            do {
                try await methods.reportProvider()
                if !isReported { logger.info("provider reported", metadata: ["provider": "\(records.nodeUUID)"]) }
                isReported = true
                try await reconcileAllocations(records.nodeUUID)
            } catch {
                if Task.isCancelled { return }
                logger.warning("not reported to placement", metadata: ["error": "\(error)"])
            }
        } while (try? await Task.sleep(for: isReported ? settings.resourceInterval : pauses.next())) != nil
    }

    /// Frees what those hold that are gone: instances that were deleted, or never came to be, or live elsewhere now, and
    /// migrations that are over.
    func reconcileAllocations(_ provider: String) async throws {
        guard let placement = methods.cloud.placement,
            let consumers = try await placement.consumers(of: provider)
        else { return }
        var forgotten: Set<String> = []
        var returned: [String: NovaObject] = [:]
        for consumer in consumers {
            switch try await right(of: consumer) {
            case .rightful: break
            case .forgotten: forgotten.insert(consumer)
            case .migration(let migration):
                forgotten.insert(consumer)
                returned[consumer] = migration
            }
        }
        for consumer in methods.cloud.provider.suspect(forgotten) {
            logger.notice("allocation of nobody freed", metadata: ["consumer": "\(consumer)"])
            if let migration = returned[consumer], try await giveBack(consumer, migration) { continue }
            _ = try await placement.deleteAllocations(of: consumer, from: provider)
        }
    }

    private enum Right {
        case rightful
        case forgotten
        /// What a migration held that is over.
        case migration(NovaObject)
    }

    private func right(of consumer: String) async throws -> Right {
        let context = AdminContext.make(readsDeleted: true)
        guard let instance = try await conductor.instance(consumer, context: context) else {
            guard let migration = try await conductor.migration(consumer, context: context) else { return .rightful }
            let isOver = Self.done.contains(migration["status"]?.stringValue ?? "")
            return isOver && migration["source_compute"]?.stringValue == host ? .migration(migration) : .rightful
        }
        if instance.isDeleted { return .forgotten }
        if instance.host == host || instance.taskState != nil { return .rightful }
        // Built nowhere: whoever tries again asks for room again.
        if instance.host == nil { return instance.vmState == .error ? .forgotten : .rightful }
        // In error, it may have been evacuated to this host in vain.
        return [.active, .stopped, .error].contains(instance.vmState) ? .forgotten : .rightful
    }

    /// A migration that failed held the share of an instance that is still here.
    private func giveBack(_ consumer: String, _ migration: NovaObject) async throws -> Bool {
        guard let uuid = migration["instance_uuid"]?.stringValue,
            let instance = try await conductor.instance(uuid, context: AdminContext.make()),
            instance.host == host, let placement = methods.cloud.placement
        else { return false }
        return try await placement.moveAllocations(from: consumer, to: uuid)
    }
}
