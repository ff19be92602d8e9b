import Logging
import NovaObjects
import OpenStackAPI
import Support
import VMOps

/// What a host tells the placement service.
extension NovaMethods {
    /// Reports the host's provider as it is now. The first report makes it.
    ///
    /// - Throws: ``OpenStackError``, what the backend throws, `CancellationError`.
    func reportProvider() async throws {
        guard let placement = cloud.placement, let uuid = cloud.provider.uuid else { return }
        try await cloud.provider.lane.run {
            let facts = ProviderFacts(
                uuid: uuid,
                host: try await operations.hostInfo(),
                name: host,
                isDisabled: cloud.provider.isDisabled,
                settings: settings
            )
            try await placement.report(facts.provider)
        }
    }

    /// Frees what an instance, or a migration, holds of this host and of any other. What cannot be freed now is found by
    /// the regular comparison.
    func free(_ consumer: String) async {
        guard let placement = cloud.placement else { return }
        do {
            try await placement.deleteAllocations(of: consumer)
        } catch {
            logger.warning("allocations not deleted", metadata: ["consumer": "\(consumer)", "error": "\(error)"])
        }
    }

    /// Frees what an instance holds of this host; what it holds of others stays.
    func freeHere(_ uuid: String) async {
        guard let placement = cloud.placement, let provider = cloud.provider.uuid else { return }
        do {
            _ = try await placement.deleteAllocations(of: uuid, from: provider)
        } catch {
            logger.warning("allocations not deleted", metadata: ["consumer": "\(uuid)", "error": "\(error)"])
        }
    }

    /// Frees what a migration held for its instance here: the instance is elsewhere.
    func freeAllocations(of migration: NovaObject?) async {
        guard let uuid = migration?["uuid"]?.stringValue else { return }
        await free(uuid)
    }

    /// Gives an instance back what a migration that failed held for it.
    func returnAllocations(of migration: NovaObject?, to instance: NovaInstance) async {
        guard let placement = cloud.placement, let uuid = migration?["uuid"]?.stringValue else { return }
        do {
            _ = try await placement.moveAllocations(from: uuid, to: instance.uuid)
        } catch {
            logger.warning(
                "allocations of a migration not given back",
                metadata: ["instance": "\(instance.uuid)", "migration": "\(uuid)", "error": "\(error)"]
            )
        }
    }
}
