import ComputeRPC
import HostBackend
import Logging
import NovaObjects
import OpenStackAPI
import OsloMessaging
import Support
import VMOps

/// What failed here and may succeed elsewhere, a boot or the preparation of a resize, is given back to the conductor with
/// the other hosts that the scheduler has named; it tries the next of them (Nova's compute RPC, chapter 2).
extension NovaMethods {
    private static let tasks = "compute_task"

    /// Failures that Nova's own manager of instances takes for final: no host would do otherwise.
    private static let final: Set<OperationError.Code> = [
        .flavorDiskSmallerThanImage, .imageUnacceptable, .invalidDiskFormat, .invalidInput, .virtualInterfaceCreate,
    ]
    /// The network service would say the same to another host.
    private static let settled: Set<OpenStackError.Code> = [
        .notFound, .conflict, .refused, .cancelled,
    ]

    /// Whether a failure leaves no reason to try another host.
    static func isFinal(_ error: any Error) -> Bool {
        switch error {
        case let error as OperationError: final.contains(error.code)
        case let error as OpenStackError: settled.contains(error.code)
        // The conductor's, or one about what the request says.
        default: true
        }
    }

    /// The hosts that are left to be tried; `nil` when nobody wants that, or none is left.
    private static func alternates(_ arguments: NovaArguments) -> JSONValue? {
        guard arguments["filter_properties"]?["retry"]?.objectValue?.isEmpty == false,
            let hosts = arguments["host_list"], hosts.arrayValue?.isEmpty == false
        else { return nil }
        return hosts
    }

    /// What the scheduler's part is told of this attempt.
    private static func properties(_ arguments: NovaArguments, after failure: RemoteFailure) -> JSONValue {
        var properties = arguments["filter_properties"]?.objectValue ?? [:]
        var retry = properties["retry"]?.objectValue ?? [:]
        retry["exc"] = [.string("\(failure)")]
        retry["exc_reason"] = .string(failure.message)
        properties["retry"] = .object(retry)
        return .object(properties)
    }

    // MARK: - Boots

    /// Asks for another host for a boot that failed here; nothing of it is left then.
    ///
    /// How far that has come stands in the record, which then belongs to no host: `launched_on` names this one from the
    /// first save on, and says that the conductor knows when it does.
    ///
    /// - Returns: `false` when the failure stands.
    func rescheduleBuild(_ arguments: NovaArguments, _ instance: NovaInstance, after error: any Error) async -> Bool {
        guard conductor != nil, Self.alternates(arguments) != nil, !Task.isCancelled, !Self.isFinal(error) else {
            return false
        }
        let failure = RemoteFailure.from(error)
        // Awaited right here; unstructured only so that it is not left half done.
        return await Task { [self] in
            guard let uuid = InstanceUUID(instance.uuid), await operations.isAbsent(uuid) else {
                logger.warning(
                    "no other host is asked for: what is left of the boot could not be removed",
                    metadata: ["instance": "\(instance.uuid)"]
                )
                return false
            }
            await undoNetworks(arguments, instance)
            guard await unplace(arguments, instance) else { return false }
            logger.notice(
                "boot failed here, another host is asked for",
                metadata: ["instance": "\(instance.uuid)", "reason": "\(failure)"]
            )
            await tell(failure, arguments, instance)
            await askForAnotherHost(arguments, instance, failure)
            return true
        }.value
    }

    /// - Returns: `false` when the instance has got something else to do, or nobody can be told.
    private func unplace(_ arguments: NovaArguments, _ instance: NovaInstance) async -> Bool {
        let changes: JSONObject = [
            "host": .null, "node": .null, "availability_zone": .null,
            "vm_state": .string(VMState.building.rawValue), "task_state": .string(TaskState.scheduling.rawValue),
        ]
        do {
            return try await save(arguments, instance, unplacing(changes), expected: [.spawning]) == .saved
        } catch {
            logger.warning(
                "no other host is asked for: the conductor takes no note of it",
                metadata: ["instance": "\(instance.uuid)", "error": "\(error)"]
            )
            return false
        }
    }

    /// What ``rescheduleBuild(_:_:after:)`` had begun before a crash.
    ///
    /// - Returns: `false` when it had not, and this host has the say about the boot.
    func resumeReschedule(_ arguments: NovaArguments, _ present: NovaInstance) async -> Bool {
        guard present.host == nil, present.taskState == TaskState.scheduling.rawValue else { return false }
        switch present.object["launched_on"]?.stringValue {
        case givenUp: return true
        case host:
            guard Self.alternates(arguments) != nil, let instance = try? await instance(arguments) else { return false }
            let failure = OperationError(.novaException, "host \(host) was restarted")
            await askForAnotherHost(arguments, instance, RemoteFailure.from(failure))
            return true
        default: return false
        }
    }

    /// What `launched_on` is when the conductor was asked.
    private var givenUp: String { "\(host) gave up" }

    private func askForAnotherHost(
        _ arguments: NovaArguments,
        _ instance: NovaInstance,
        _ failure: RemoteFailure
    ) async {
        // First, so that the conductor can claim elsewhere; only here, because it may have done so already.
        await freeHere(instance.uuid)
        var args: JSONObject = [
            "instances": [nowhere(instance)], "filter_properties": Self.properties(arguments, after: failure),
            "host_lists": [Self.alternates(arguments) ?? .null],
        ]
        for name in [
            "image", "admin_password", "injected_files", "requested_networks", "security_groups", "request_spec",
        ] {
            args[name] = arguments.request.args[name] ?? .null
        }
        do {
            try await castTask("build_instances", version: "1.19", args, arguments.context)
        } catch {
            logger.error("conductor not asked", metadata: ["instance": "\(instance.uuid)", "error": "\(error)"])
            _ = try? await save(
                arguments,
                instance,
                ["vm_state": .string(VMState.error.rawValue), "task_state": .null],
                expected: [.scheduling]
            )
            await conductor?.fault(failure, instance.uuid, host: host, context: arguments.context)
            return
        }
        // Once another host has it, it is in another state, and this is not saved.
        _ = try? await save(arguments, instance, ["launched_on": .string(givenUp)], expected: [.scheduling])
    }

    /// The instance as the database has it by then.
    private func nowhere(_ instance: NovaInstance) -> JSONValue {
        var object = instance.object
        for name in ["host", "node", "compute_id", "launched_on", "availability_zone"] where object.isSet(name) {
            object.data[name] = .null
        }
        object.data["vm_state"] = .string(VMState.building.rawValue)
        object.data["task_state"] = .string(TaskState.scheduling.rawValue)
        object.changes = []
        return object.primitive
    }

    // MARK: - Resizes

    /// Asks for another host for an instance that cannot come here; nothing has been asked of its own host yet.
    ///
    /// - Returns: `false` when the failure stands.
    func rescheduleResize(_ arguments: NovaArguments, _ instance: NovaInstance, after error: any Error) async -> Bool {
        guard conductor != nil, let hosts = Self.alternates(arguments), !Task.isCancelled, !Self.isFinal(error) else {
            return false
        }
        let failure = RemoteFailure.from(error)
        // As above.
        return await Task { [self] in
            do {
                let migration = try await record(arguments)
                await returnAllocations(of: migration, to: instance)
                try await note(.preMigrating, migration, arguments)
                let prepared: JSONObject = ["task_state": .string(TaskState.resizePrep.rawValue)]
                guard try await save(arguments, instance, prepared, expected: [.resizePrep, nil]) == .saved else {
                    return false
                }
                try await castTask(
                    "migrate_server",
                    version: "1.20",
                    [
                        "instance": arguments.request.args["instance"] ?? .null,
                        "scheduler_hint": ["filter_properties": Self.properties(arguments, after: failure)],
                        "live": false, "rebuild": false, "flavor": arguments.request.args["flavor"] ?? .null,
                        "block_migration": .null, "disk_over_commit": .null, "reservations": .null,
                        "clean_shutdown": .bool(try arguments.bool("clean_shutdown", default: true)),
                        "request_spec": arguments.request.args["request_spec"] ?? .null, "host_list": hosts,
                    ],
                    arguments.context
                )
            } catch {
                logger.error("conductor not asked", metadata: ["instance": "\(instance.uuid)", "error": "\(error)"])
                return false
            }
            logger.notice(
                "instance cannot come here, another host is asked for",
                metadata: ["instance": "\(instance.uuid)", "reason": "\(failure)"]
            )
            await conductor?.fault(failure, instance.uuid, host: host, context: arguments.context)
            await tellResize(failure, arguments, instance)
            return true
        }.value
    }

    // MARK: - The conductor

    /// Returns when the broker has it. One that is repeated would be done twice, so there is no answer to wait for.
    private func castTask(
        _ method: String,
        version: String,
        _ args: JSONObject,
        _ context: JSONObject
    ) async throws {
        try await caller.cast(
            .conductor,
            server: nil,
            namespace: Self.tasks,
            method,
            version: version,
            args,
            context: context
        )
    }
}
