import ComputeRPC
import HostBackend
import Logging
import NovaObjects
import OsloMessaging
import Support
import VMOps

/// Cold migration and resize (Nova's compute RPC, section 7.7): Nova's sequence of casts around the hosts' own, which
/// takes the machine to its destination in one go, whole and ready, or leaves it where it is.
///
/// How far a migration has come stands in its record, which decides about messages that come late or twice.
extension NovaMethods {
    var resizes: [RemoteMethod] {
        [
            mutating("prep_resize", ["instance", "migration"]) { [self] arguments in
                let instance = try await instance(arguments)
                return try await carryOut(arguments, instance, failure: .silent) {
                    try await orTakeBack(arguments, instance) { try await prepareResize(arguments, instance) }
                }
            },
            mutating("resize_instance", ["instance", "migration"]) { [self] arguments in
                let instance = try await instance(arguments)
                return try await carryOut(arguments, instance, failure: .silent) {
                    let isMoved = try await orTakeBack(arguments, instance) { try await resize(arguments, instance) }
                    if isMoved { try await handOver(arguments, instance) }
                    return .null
                }
            },
            mutating("finish_resize", ["instance", "migration"]) { [self] arguments in
                let instance = try await instance(arguments)
                return try await carryOut(arguments, instance, failure: .error) {
                    do {
                        return try await finishResize(arguments, instance)
                    } catch {
                        await note(.error, of: try await record(arguments), arguments)
                        throw error
                    }
                }
            },
        ]
    }

    // MARK: - What it is about

    /// The record of the migration that a request is about.
    func record(_ arguments: NovaArguments) async throws -> NovaObject {
        guard let migration = try arguments.object("migration"), migration["uuid"] != nil else {
            throw OperationError(
                .migrationError,
                "Migration error: the request names no migration",
                details: ["reason": "the request names no migration"]
            )
        }
        return migration
    }

    func destination(of migration: NovaObject) throws -> String {
        try Field("migration.dest_compute", migration["dest_compute"] ?? .null).string()
    }

    func source(of migration: NovaObject) throws -> String {
        try Field("migration.source_compute", migration["source_compute"] ?? .null).string()
    }

    /// Saves what a migration has come to, also for a request that was cancelled.
    func note(_ status: MigrationStatus, of migration: NovaObject, _ arguments: NovaArguments) async {
        // Awaited right here.
        await Task { [self] in
            do {
                try await note(status, migration, arguments)
            } catch {
                logger.warning("migration not saved", metadata: ["status": "\(status.rawValue)", "error": "\(error)"])
            }
        }.value
    }

    // MARK: - Source

    /// - Returns: whether the machine is at its destination; `false` when this is nobody's wish any more.
    private func resize(_ arguments: NovaArguments, _ instance: NovaInstance) async throws -> Bool {
        let migration = try await record(arguments)
        let destination = try destination(of: migration)
        if let conductor {
            guard try await conductor.status(of: migration, context: arguments.context) == .preMigrating else {
                return false
            }
            // First, so that the next start knows that it has begun.
            try await note(.migrating, migration, arguments)
            let outcome = try await save(
                arguments,
                instance,
                ["task_state": .string(TaskState.resizeMigrating.rawValue)],
                expected: [.resizePrep, nil]
            )
            if case .superseded = outcome {
                await abandonResize(arguments, instance)
                return false
            }
        }
        let isClean = try arguments.bool("clean_shutdown", default: true)
        var request = try Self.resizeRequest(arguments)
        request.destination = destination == host ? nil : destination
        request.timeout = isClean ? settings.shutdownTimeout : .zero
        request.interval = settings.shutdownInterval
        _ = try await operations.resize(try uuid(instance), request, arguments.operation)
        return true
    }

    private static func resizeRequest(_ arguments: NovaArguments) throws -> ResizeRequest {
        let flavor = try Self.newFlavor(arguments)
        func size(_ name: String, _ range: ClosedRange<Int>) throws -> Int {
            try Field("flavor.\(name)", flavor[name] ?? .null).integer(in: range)
        }
        return ResizeRequest(
            memoryMB: try size("memory_mb", 1...16_777_216),
            vcpus: try size("vcpus", 1...4096),
            rootGB: try size("root_gb", 0...1_048_576),
            ephemeralGB: try size("ephemeral_gb", 0...1_048_576)
        )
    }

    /// The machine is at its destination, whatever comes now: says so, and has the destination go on.
    func handOver(_ arguments: NovaArguments, _ instance: NovaInstance) async throws {
        let migration = try await record(arguments)
        let destination = try destination(of: migration)
        do {
            guard try await noteHandOver(arguments, instance, migration, destination) else { return }
            var args = arguments.request.args
            for name in ["flavor", "instance_type", "clean_shutdown"] { args[name] = nil }
            args["disk_info"] = ""
            try await tell(destination, "finish_resize", args, arguments)
        } catch {
            // Awaited right here; unstructured only so that it is saved after a cancellation too.
            await Task { [self] in
                await note(.error, of: migration, arguments)
                let place: JSONObject = [
                    "host": .string(destination), "node": .string(destination), "vm_state": "error",
                    "task_state": .null,
                ]
                _ = try? await save(arguments, instance, place, expected: nil)
            }.value
            throw error
        }
    }

    /// - Returns: `false` when the destination is at it already.
    private func noteHandOver(
        _ arguments: NovaArguments,
        _ instance: NovaInstance,
        _ migration: NovaObject,
        _ destination: String
    ) async throws -> Bool {
        guard let conductor else { return true }
        let context = arguments.context
        let status = try await conductor.status(of: migration, context: context)
        guard status == .migrating || status == .postMigrating else { return false }
        try await note(.postMigrating, migration, arguments)
        guard let present = try await conductor.resizing(instance.uuid, context: context) else { return true }
        var changes: JSONObject = ["host": .string(destination), "node": .string(destination)]
        if present.taskState == TaskState.resizeMigrating.rawValue {
            for flavor in Self.flavors(present, old: present.object["flavor"]) { changes[flavor.key] = flavor.value }
            changes["task_state"] = .string(TaskState.resizeMigrated.rawValue)
            _ = try await conductor.save(instance, changes, expected: [.resizeMigrating], context: context)
        } else if present.host != destination {
            // Whatever else it is doing, that is where it is.
            _ = try await conductor.save(instance, changes, expected: nil, context: context)
        }
        return true
    }

    // MARK: - Destination again

    private func finishResize(_ arguments: NovaArguments, _ instance: NovaInstance) async throws -> JSONValue {
        let migration = try await record(arguments)
        let uuid = try uuid(instance)
        var present: NovaInstance?
        if let conductor {
            present = try await conductor.resizing(instance.uuid, context: arguments.context)
            let status = try await conductor.status(of: migration, context: arguments.context)
            let isDue = status == .postMigrating || (status == .finished && present?.vmState != .resized)
            guard isDue, present != nil else { return .null }
        }
        let info = try await operations.info(uuid)
        await bindPorts(instance, arguments.context)
        guard let conductor, let present else { return .null }
        var changes = Self.flavors(present, flavor: present.object["new_flavor"])
        changes["task_state"] = .string(TaskState.resizeFinish.rawValue)
        for change in try Self.columns(present.object.object("new_flavor")) { changes[change.key] = change.value }
        for change in placing { changes[change.key] = change.value }
        let expected: [TaskState?] = [.resizeMigrated, .resizeFinish, nil]
        let context = arguments.context
        guard try await conductor.save(instance, changes, expected: expected, context: context) == .saved else {
            return .null
        }
        try await note(.finished, migration, arguments)
        try await save(
            arguments,
            instance,
            [
                "vm_state": .string(VMState.resized.rawValue), "task_state": .null,
                "power_state": .int(Int64(info.powerState)), "launched_at": .string(NovaTime.now),
            ],
            expected: [.resizeFinish]
        )
        return .null
    }

    /// The columns of an instance that its flavor decides.
    static func columns(_ flavor: NovaObject?) throws -> JSONObject {
        guard let flavor else { return [:] }
        var columns: JSONObject = ["instance_type_id": .int(try flavor.integer("id"))]
        for name in ["memory_mb", "vcpus", "root_gb", "ephemeral_gb"] { columns[name] = .int(try flavor.integer(name)) }
        return columns
    }

    // MARK: - Failures

    private func orTakeBack<Result: Sendable>(
        _ arguments: NovaArguments,
        _ instance: NovaInstance,
        _ body: () async throws -> Result
    ) async throws -> Result {
        do {
            return try await body()
        } catch {
            // Awaited right here; unstructured only so that a cancelled one is told as well.
            await Task { [self] in await takeBackResize(arguments, instance) }.value
            throw error
        }
    }

    /// The instance is what and where it was.
    func takeBackResize(_ arguments: NovaArguments, _ instance: NovaInstance) async {
        guard let migration = try? await record(arguments) else { return }
        await note(.error, of: migration, arguments)
        await returnAllocations(of: migration, to: instance)
        guard let conductor else { return }
        do {
            guard let present = try await conductor.resizing(instance.uuid, context: arguments.context) else { return }
            var changes = Self.flavors(present, old: .null, new: .null)
            changes["migration_context"] = .null
            changes["task_state"] = .null
            try await save(arguments, instance, changes, expected: [.resizePrep, .resizeMigrating, nil])
        } catch {
            logger.error(
                "failure of a resize not saved",
                metadata: ["instance": "\(instance.uuid)", "error": "\(error)"]
            )
        }
    }

    /// The instance has got something else to do; what was promised for it elsewhere is given back, unless another
    /// request of the same migration is at work. One that is being deleted needs nothing any more.
    func abandonResize(_ arguments: NovaArguments, _ instance: NovaInstance) async {
        guard let conductor, let migration = try? await record(arguments) else { return }
        do {
            let present = try await conductor.resizing(instance.uuid, context: arguments.context)
            let task = present?.taskState ?? ""
            if task.hasPrefix("resize") { return }
            await note(.error, of: migration, arguments)
            if present == nil || task == TaskState.deleting.rawValue {
                await freeAllocations(of: migration)
            } else {
                await returnAllocations(of: migration, to: instance)
            }
        } catch {
            logger.warning(
                "resize that is not wanted any more not ended",
                metadata: ["instance": "\(instance.uuid)", "error": "\(error)"]
            )
        }
    }

    func tell(_ server: String, _ method: String, _ args: JSONObject, _ arguments: NovaArguments) async throws {
        try await caller.cast(
            .computeAlt,
            server: server,
            namespace: nil,
            method,
            version: "6.0",
            args,
            context: arguments.context
        )
    }
}
