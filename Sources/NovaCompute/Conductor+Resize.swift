import NovaObjects
import OsloMessaging
import Support

/// What is written down of cold migrations and resizes.
extension Conductor {
    /// The instance as the database has it, with its flavors; `nil` when it has none, or only a deleted one.
    func resizing(_ uuid: String, context: JSONObject) async throws -> NovaInstance? {
        do {
            return try await instance(uuid, with: ["flavor", "metadata", "system_metadata"], context: context)
        } catch let failure as RemoteFailure where failure.className == "InstanceNotFound" {
            return nil
        }
    }

    /// What a migration has come to by now, which is more than a message of some time ago says; `nil` when it is gone.
    func status(of migration: NovaObject, context: JSONObject) async throws -> MigrationStatus? {
        guard let uuid = migration["uuid"]?.stringValue else { return nil }
        let present = try await self.migration(uuid, context: context)
        return present?["status"]?.stringValue.flatMap(MigrationStatus.init)
    }
}
