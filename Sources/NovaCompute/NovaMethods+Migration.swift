import ComputeRPC
import HostBackend
import Logging
import NovaObjects
import OsloMessaging
import Support
import VMOps

/// The source's part of a live migration (Nova's compute RPC, section 7.6): Nova's sequence of calls around the hosts'
/// own protocol, which moves the machine and its log.
extension NovaMethods {
    private static let rounds = 3

    var migration: [RemoteMethod] {
        [
            mutating("live_migration", ["instance", "dest", "migrate_data"]) { [self] arguments in
                let instance = try await instance(arguments)
                return try await carryOut(arguments, instance) { try await migrate(arguments, instance) }
            },
            // Either it reaches the migration in progress, or there is none.
            mutating("live_migration_abort", ["instance", "migration_id"]) { [self] arguments in
                let instance = try await instance(arguments)
                return try await carryOut(arguments, instance, failure: .silent) {
                    try operations.abortLiveMigration(try uuid(instance))
                    return .null
                }
            },
            mutating("live_migration_force_complete", ["instance"]) { [self] arguments in
                let instance = try await instance(arguments)
                return try await carryOut(arguments, instance, failure: .silent) {
                    throw OperationError.notImplemented("forcing a live migration to complete is not supported")
                }
            },
        ]
    }

    private func migrate(_ arguments: NovaArguments, _ instance: NovaInstance) async throws -> JSONValue {
        let destination = try arguments.string("dest")
        let migration = try arguments.object("migration")
        let data = try arguments.migrateData("migrate_data")
        do {
            let copies = try arguments["block_migration"].map { try Field("block_migration", $0).bool() }
            try await note(.preparing, migration, arguments)
            var prepared = try await prepare(arguments, destination, data)
            prepared.destination = nil
            try await note(.running, migration, arguments)
            _ = try await operations.liveMigrate(
                try uuid(instance),
                to: destination,
                copyStorage: copies,
                arguments.operation
            )
        } catch {
            // Awaited right here; unstructured only so that a cancelled migration is told as well.
            await Task { [self] in await rollBack(arguments, instance, destination, migration, data, error) }.value
            throw error
        }
        try await finish(arguments, instance, destination, migration)
        return .null
    }

    private func prepare(
        _ arguments: NovaArguments,
        _ destination: String,
        _ data: MigrateData
    ) async throws -> MigrateData {
        let answer = try await ask(
            .computeAlt,
            destination,
            "pre_live_migration",
            [
                "instance": arguments.request.args["instance"] ?? .null,
                "block_migration": arguments["block_migration"] ?? .null, "disk": .null,
                "migrate_data": data.object(versions).primitive,
            ],
            arguments,
            isLong: true
        )
        do {
            return try MigrateData(answer)
        } catch {
            throw OperationError(
                .migrationError,
                "Migration error: host \(destination) gave an answer that makes no sense: \(error)",
                details: ["reason": "an answer of \(destination) makes no sense"]
            )
        }
    }

    /// The machine runs at the destination, whatever comes now.
    func finish(
        _ arguments: NovaArguments,
        _ instance: NovaInstance,
        _ destination: String,
        _ migration: NovaObject?
    ) async throws {
        await tell("live_migration_post", .start, arguments, instance)
        await activatePorts(instance, on: destination)
        do {
            try await postAtDestination(arguments, destination)
        } catch {
            logger.error(
                "destination did not take note of a migration",
                metadata: ["instance": "\(instance.uuid)", "destination": "\(destination)", "error": "\(error)"]
            )
            // Somebody has to say where the instance is now.
            try await save(
                arguments,
                instance,
                ["host": .string(destination), "node": .string(destination), "task_state": .null, "progress": 0],
                expected: [.migrating]
            )
        }
        try await note(.completed, migration, arguments)
        await freeAllocations(of: migration)
        await tell("live_migration_post", .end, arguments, instance)
    }

    private func postAtDestination(_ arguments: NovaArguments, _ destination: String) async throws {
        for round in 1... {
            do {
                _ = try await ask(
                    .computeAlt,
                    destination,
                    "post_live_migration_at_destination",
                    [
                        "instance": arguments.request.args["instance"] ?? .null,
                        "block_migration": arguments["block_migration"] ?? .null,
                    ],
                    arguments,
                    isLong: true
                )
                return
            } catch let error as OperationError where error.code == .hypervisorUnavailable && round < Self.rounds {
                logger.warning("destination asked again", metadata: ["destination": "\(destination)"])
            }
        }
    }

    /// The machine runs here, and what the destination had prepared is undone by the hosts' own protocol.
    private func rollBack(
        _ arguments: NovaArguments,
        _ instance: NovaInstance,
        _ destination: String,
        _ migration: NovaObject?,
        _ data: MigrateData,
        _ error: any Error
    ) async {
        let failure = RemoteFailure.from(error)
        await tell("live_migration_rollback", .start, arguments, instance)
        await returnAllocations(of: migration, to: instance)
        await dropBindings(instance, of: destination)
        do {
            try await note(failure.message.contains("aborted") ? .cancelled : .error, migration, arguments)
            try await caller.cast(
                .computeAlt,
                server: destination,
                namespace: nil,
                "rollback_live_migration_at_destination",
                version: "6.0",
                [
                    "instance": arguments.request.args["instance"] ?? .null, "destroy_disks": true,
                    "migrate_data": data.object(versions).primitive,
                ],
                context: arguments.context
            )
        } catch {
            logger.error("failed migration not told", metadata: ["error": "\(error)", "failure": "\(failure)"])
        }
        await tell("live_migration_rollback", .end, arguments, instance)
    }

    /// Saves what the migration has come to.
    func note(_ status: MigrationStatus, _ migration: NovaObject?, _ arguments: NovaArguments) async throws {
        try await conductor?.save(migration, status: status, context: arguments.context)
    }

    /// Calls another compute; silence is one more way of failing.
    func ask(
        _ topic: NovaTopic,
        _ server: String,
        _ method: String,
        _ args: JSONObject,
        _ arguments: NovaArguments,
        isLong: Bool
    ) async throws -> JSONValue {
        do {
            return try await caller.call(
                topic,
                server: server,
                namespace: nil,
                method,
                version: "6.0",
                args,
                context: arguments.context,
                timeout: isLong ? settings.longTimeout : settings.responseTimeout,
                monitorTimeout: isLong ? settings.responseTimeout : nil
            )
        } catch let failure as RemoteFailure {
            throw failure
        } catch let error as CancellationError {
            throw error
        } catch {
            throw OperationError(
                .hypervisorUnavailable,
                "Host \(server) does not answer: \(error)",
                details: ["host": server],
                cause: error
            )
        }
    }
}
