import Logging
import NovaObjects
import OsloMessaging
import Support

/// The records of evacuations, and what a new host has to know of an instance's disks.
extension Conductor {
    /// Those that took, or are taking, instances from a host, and that it has not taken note of; also of instances that
    /// were deleted since.
    func evacuations(from host: String) async throws -> [NovaObject] {
        let statuses: [MigrationStatus] = [.accepted, .preMigrating, .done]
        let list = try NovaObject(
            try await actOnClass(
                "MigrationList",
                "get_by_filters",
                [
                    [
                        "source_compute": .string(host), "migration_type": "evacuation",
                        "status": .array(statuses.map { .string($0.rawValue) }),
                    ]
                ],
                context: AdminContext.make(readsDeleted: true)
            )
        )
        return try list.objects()
    }

    /// Writes which host has taken an evacuation on.
    func claim(_ migration: NovaObject?, by host: String, context: JSONObject) async throws {
        guard let migration else { return }
        var identity: JSONObject = [:]
        for name in ["id", "uuid"] { if let value = migration[name] { identity[name] = value } }
        let object = settings.versions.change(
            "Migration",
            identity: identity,
            [
                "status": .string(MigrationStatus.preMigrating.rawValue), "dest_compute": .string(host),
                "dest_node": .string(host),
            ]
        )
        do {
            _ = try await act("save", on: object, context: context)
        } catch let failure as RemoteFailure {
            logger.warning("migration not claimed", metadata: ["error": "\(failure)"])
        }
    }

    /// Whether some of an instance's disks are volumes.
    func hasVolumes(_ instance: NovaInstance, context: JSONObject) async throws -> Bool {
        let list = try NovaObject(
            try await actOnClass(
                "BlockDeviceMappingList",
                "get_by_instance_uuid",
                [.string(instance.uuid)],
                context: context
            )
        )
        return try list.objects().contains { $0["destination_type"] == "volume" }
    }
}
