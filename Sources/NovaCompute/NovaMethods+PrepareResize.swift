import ComputeRPC
import HostBackend
import NovaObjects
import OsloMessaging
import Support
import VMOps

/// The destination's first part of a cold migration or resize: whether the instance can come, and that it is to.
extension NovaMethods {
    func prepareResize(_ arguments: NovaArguments, _ instance: NovaInstance) async throws -> JSONValue {
        let migration: NovaObject
        do {
            guard let prepared = try await prepare(arguments, instance) else { return .null }
            migration = prepared
        } catch {
            guard await rescheduleResize(arguments, instance, after: error) else { throw error }
            return .null
        }
        var args: JSONObject = [
            "instance": arguments.request.args["instance"] ?? .null, "migration": migration.primitive,
            "image": arguments.request.args["image"] ?? .object([:]), "flavor": try Self.newFlavor(arguments).primitive,
            "request_spec": arguments.request.args["request_spec"] ?? .null,
        ]
        args["clean_shutdown"] = .bool(try arguments.bool("clean_shutdown", default: true))
        try await tell(try source(of: migration), "resize_instance", args, arguments)
        return .null
    }

    static func newFlavor(_ arguments: NovaArguments) throws -> NovaObject {
        guard let flavor = try arguments.object("flavor") ?? arguments.object("instance_type") else {
            throw Field("flavor", .null).invalid("is missing")
        }
        return flavor
    }

    /// Looks whether the instance can come, and writes down that it is to.
    ///
    /// - Returns: the migration as it is then; `nil` when nothing is to be done any more.
    private func prepare(_ arguments: NovaArguments, _ instance: NovaInstance) async throws -> NovaObject? {
        var migration = try await record(arguments)
        let source = try source(of: migration)
        let flavor = try Self.newFlavor(arguments)
        if let conductor {
            // A request that is repeated: the source is at it, or done.
            let begun: Set<MigrationStatus?> = [.migrating, .postMigrating, .finished, .error, nil]
            guard try await !begun.contains(conductor.status(of: migration, context: arguments.context)) else {
                return nil
            }
        }
        if source == host, flavor["id"] == instance.object["instance_type_id"] {
            throw OperationError(
                .unableToMigrateToSelf,
                "Unable to migrate instance (\(instance.uuid)) to current host (\(host)).",
                details: ["instance_id": instance.uuid, "host": host]
            )
        }
        try await operations.requireRoom(
            for: try uuid(instance),
            from: source,
            memoryMB: try Field("flavor.memory_mb", flavor["memory_mb"] ?? .null).integer(in: 1...16_777_216)
        )
        let changes: JSONObject = [
            "dest_compute": .string(host), "dest_node": .string(host),
            "status": .string(MigrationStatus.preMigrating.rawValue),
        ]
        if let conductor {
            guard try await writeNewFlavor(flavor, migration, arguments, instance) else { return nil }
            try await conductor.save(migration, changes, context: arguments.context)
        }
        for change in changes { migration.data[change.key] = change.value }
        migration.changes = []
        return migration
    }

    /// - Returns: `false` when the instance has got something else to do meanwhile.
    private func writeNewFlavor(
        _ flavor: NovaObject,
        _ migration: NovaObject,
        _ arguments: NovaArguments,
        _ instance: NovaInstance
    ) async throws -> Bool {
        guard let conductor, let present = try await conductor.resizing(instance.uuid, context: arguments.context)
        else {
            return false
        }
        var metadata = present.object["system_metadata"]?.objectValue ?? [:]
        if present.vmState != .resized { metadata["old_vm_state"] = present.object["vm_state"] ?? "active" }
        var changes = Self.flavors(present, new: flavor.primitive)
        changes["system_metadata"] = .object(metadata)
        let context = versions.make(
            "MigrationContext",
            JSONObject(
                [
                    ("instance_uuid", .string(instance.uuid)), ("migration_id", migration["id"] ?? .null),
                    ("new_numa_topology", .null), ("old_numa_topology", .null), ("new_pci_devices", .null),
                    ("old_pci_devices", .null), ("new_pci_requests", .null), ("old_pci_requests", .null),
                    ("new_resources", .null), ("old_resources", .null),
                ]
            )
        )
        changes["migration_context"] = context.primitive
        let outcome = try await conductor.save(
            instance,
            changes,
            expected: [.resizePrep, nil],
            context: arguments.context
        )
        if case .superseded = outcome {
            await abandonResize(arguments, instance)
            return false
        }
        return true
    }

    /// All flavors of an instance: Nova writes them in one piece.
    ///
    /// - Parameters: a flavor in place of the present one; `nil` = the present one.
    static func flavors(
        _ present: NovaInstance,
        flavor: JSONValue? = nil,
        old: JSONValue? = nil,
        new: JSONValue? = nil
    ) -> JSONObject {
        [
            "flavor": flavor ?? present.object["flavor"] ?? .null,
            "old_flavor": old ?? present.object["old_flavor"] ?? .null,
            "new_flavor": new ?? present.object["new_flavor"] ?? .null,
        ]
    }
}
