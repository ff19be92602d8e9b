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
        try await save(
            migration,
            status: .preMigrating,
            ["dest_compute": .string(host), "dest_node": .string(host)],
            context: context
        )
    }

    /// Whether some of an instance's disks are volumes.
    func hasVolumes(_ instance: NovaInstance, context: JSONObject) async throws -> Bool {
        try await volumes(of: instance.uuid, context: context).contains { $0["destination_type"] == "volume" }
    }
}
