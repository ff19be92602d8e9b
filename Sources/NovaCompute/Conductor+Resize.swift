import NovaObjects
import OsloMessaging
import Support

/// What is written down of cold migrations and resizes.
extension Conductor {
    /// The instance as the database has it, with its flavors; `nil` when it has none, or only a deleted one.
    func resizing(_ uuid: String, context: JSONObject) async throws -> NovaInstance? {
        do {
            return try NovaInstance(
                try await actOnClass(
                    NovaInstance.className,
                    "get_by_uuid",
                    [],
                    ["uuid": .string(uuid), "expected_attrs": .array(["flavor", "metadata", "system_metadata"])],
                    context: context
                )
            )
        } catch let failure as RemoteFailure where failure.className == "InstanceNotFound" {
            return nil
        }
    }

    /// Writes some attributes of a migration.
    func save(_ migration: NovaObject, _ changes: JSONObject, context: JSONObject) async throws {
        var identity: JSONObject = [:]
        for name in ["id", "uuid"] { if let value = migration[name] { identity[name] = value } }
        let object = settings.versions.change("Migration", identity: identity, changes)
        _ = try await act("save", on: object, context: context)
    }

    /// What a migration has come to by now, which is more than a message of some time ago says; `nil` when it is gone.
    func status(of migration: NovaObject, context: JSONObject) async throws -> MigrationStatus? {
        guard let uuid = migration["uuid"]?.stringValue else { return nil }
        let present = try await self.migration(uuid, context: context)
        return present?["status"]?.stringValue.flatMap(MigrationStatus.init)
    }
}
