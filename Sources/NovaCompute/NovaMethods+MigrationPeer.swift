import ComputeRPC
import HostBackend
import Logging
import NovaObjects
import OsloMessaging
import Support
import VMOps

/// What the conductor and other computes ask in a live migration (Nova's compute RPC, section 7.6).
extension NovaMethods {
    var migrationPeer: [RemoteMethod] { checks + destination }

    private var checks: [RemoteMethod] {
        [
            reading("check_can_live_migrate_destination", ["instance"]) { [self] arguments in
                try await checkDestination(arguments)
            },
            reading("check_can_live_migrate_source", ["instance", "dest_check_data"]) { [self] arguments in
                var data = try arguments.migrateData("dest_check_data")
                let uuid = try uuid(try await instance(arguments))
                if let destination = data.destination {
                    data.isSharedInstancePath = try await operations.checkLiveMigration(uuid, to: destination)
                } else {
                    try await operations.checkCanLeave(uuid)
                    data.isSharedInstancePath = data.isSharedInstancePath ?? false
                }
                data.isVolumeBacked = false
                return data.object(versions).primitive
            },
        ]
    }

    /// Whether the instance could come: asks its host, which asks back through the hosts' own protocol.
    private func checkDestination(_ arguments: NovaArguments) async throws -> JSONValue {
        let instance = try await instance(arguments)
        let migration = try arguments.object("migration")
        guard let source = instance.host ?? migration?["source_compute"]?.stringValue else {
            throw refusal("the instance has no host")
        }
        guard source != host else {
            throw OperationError(
                .unableToMigrateToSelf,
                "Unable to migrate instance (\(instance.uuid)) to current host (\(host)).",
                details: ["instance_id": instance.uuid, "host": host]
            )
        }
        var question = MigrateData()
        question.isSharedInstancePath = false
        question.isVolumeBacked = false
        question.destination = host
        let answer: JSONValue
        do {
            answer = try await ask(
                .compute,
                source,
                "check_can_live_migrate_source",
                [
                    "instance": arguments.request.args["instance"] ?? .null,
                    "dest_check_data": question.object(versions).primitive,
                ],
                arguments,
                isLong: false
            )
        } catch let error as OperationError where error.code == .hypervisorUnavailable {
            throw refusal(error.message)
        }
        do {
            var data = try MigrateData(answer)
            data.destination = nil
            // Without its ports the conductor cannot bind them here.
            var vifs: [NovaObject] = []
            for vif in try instance.networkInfo() {
                if let port = try MigrateData.port(vif, versions) { vifs.append(port) }
            }
            data.vifs = vifs
            return data.object(versions).primitive
        } catch {
            throw refusal("\(error)")
        }
    }

    private func refusal(_ reason: String) -> OperationError {
        OperationError(
            .migrationPreCheckError,
            "Migration pre-check error: \(reason)",
            details: ["reason": reason]
        )
    }

    private var destination: [RemoteMethod] {
        [
            // The hosts' own protocol prepares the rest, once the source has begun.
            reading("pre_live_migration", ["instance", "migrate_data"]) { [self] arguments in
                var data = try arguments.migrateData("migrate_data")
                let instance = try await instance(arguments)
                await tell("live_migration_pre", .start, arguments, instance)
                let uuid = try uuid(instance)
                if let info = try await operations.presentInfo(uuid) { throw OperationError.exists(info.name) }
                data.isPrepared = true
                await tell("live_migration_pre", .end, arguments, instance)
                return data.object(versions).primitive
            },
            mutating("post_live_migration_at_destination", ["instance"]) { [self] arguments in
                let instance = try await instance(arguments)
                return try await carryOut(arguments, instance, failure: .silent) {
                    try await takeOver(arguments, instance)
                }
            },
            // The source has told the destination by the hosts' own protocol, or will.
            reading("rollback_live_migration_at_destination") { [self] arguments in
                let instance = try await instance(arguments)
                await tell("live_migration_rollback_dest", .start, arguments, instance)
                await tell("live_migration_rollback_dest", .end, arguments, instance)
                return .null
            },
            reading("drop_move_claim_at_destination") { _ in .null },
            // No volume is connected for an instance that is not here.
            reading("remove_volume_connection", ["instance", "volume_id"]) { [self] arguments in
                let uuid = try uuid(try await instance(arguments))
                guard try await operations.presentInfo(uuid) == nil else {
                    throw OperationError.notImplemented("volumes are not supported")
                }
                return .null
            },
        ]
    }

    /// The instance is this host's from now on.
    private func takeOver(_ arguments: NovaArguments, _ instance: NovaInstance) async throws -> JSONValue {
        let info = try await operations.info(try uuid(instance))
        var changes = placing
        changes["power_state"] = .int(Int64(info.powerState))
        changes["task_state"] = .null
        changes["progress"] = 0
        try await save(
            arguments,
            instance,
            changes,
            expected: [.migrating]
        )
        await takePorts(instance, from: instance.host, arguments.context)
        return .null
    }
}
