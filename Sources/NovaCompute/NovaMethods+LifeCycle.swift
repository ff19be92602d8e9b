import ComputeRPC
import HostBackend
import Logging
import NovaObjects
import OsloMessaging
import Support
import VMOps

/// Boot and delete (Nova's compute RPC, sections 7.1 and 7.5).
extension NovaMethods {
    private static let largestDiskGB = 1_048_576

    var lifeCycle: [RemoteMethod] {
        [
            mutating(
                "build_and_run_instance",
                ["instance", "image"],
                hidden: ["admin_password", "injected_files"],
                build
            ),
            mutating("terminate_instance", ["instance"]) { [self] arguments in
                let instance = try await instance(arguments)
                return try await carryOut(arguments, instance, failure: .error) {
                    try await terminate(arguments, instance)
                }
            },
        ]
    }

    @Sendable
    private func build(_ arguments: NovaArguments) async throws -> JSONValue {
        let instance = try await instance(arguments)
        guard cloud.builds.begin(instance.uuid) else {
            logger.notice("instance is being built already", metadata: ["instance": "\(instance.uuid)"])
            return .null
        }
        defer { cloud.builds.end(instance.uuid) }
        return try await carryOut(
            arguments,
            instance,
            event: "_do_build_and_run_instance",
            failure: .unbuilt,
            undo: { [self] in
                await undoNetworks(arguments, instance)
                await free(instance.uuid)
            }
        ) {
            guard try await !isBuilt(arguments, instance), try await claim(arguments, instance) else { return .null }
            await tell(subject(arguments), .start, arguments, instance)
            do {
                try await build(arguments, instance)
            } catch {
                guard await rescheduleBuild(arguments, instance, after: error) else { throw error }
            }
            return .null
        }
    }

    private func build(_ arguments: NovaArguments, _ instance: NovaInstance) async throws {
        cloud.plugged.begin(instance.uuid)
        defer { cloud.plugged.end(instance.uuid) }
        let interfaces = try await cloud.refreshes.lane(instance.uuid).run {
            try await allocateNetworks(arguments, instance)
        }
        var request = try spawnRequest(
            arguments,
            instance,
            interfaces,
            image: arguments["image"],
            password: arguments["admin_password"]?.stringValue
        )
        request.readiness = plugging(instance, interfaces)
        let info = try await operations.spawn(request, arguments.operation)
        let outcome = try await save(
            arguments,
            instance,
            [
                "vm_state": .string(VMState.active.rawValue), "power_state": .int(Int64(info.powerState)),
                "task_state": .null, "launched_at": .string(NovaTime.now),
            ],
            expected: [.spawning]
        )
        if case .superseded(let reason) = outcome {
            // Whoever deletes it meanwhile sends a request for that too.
            logger.notice(
                "instance built while its state changed",
                metadata: ["instance": "\(instance.uuid)", "reason": "\(reason)"]
            )
            await tellSuperseded(reason, arguments, instance)
        } else {
            await tell(subject(arguments), .end, arguments, instance)
        }
    }

    /// Whether another request has built it here: nothing of it is to be touched.
    private func isBuilt(_ arguments: NovaArguments, _ instance: NovaInstance) async throws -> Bool {
        let uuid = try uuid(instance)
        guard let conductor, try await operations.presentInfo(uuid) != nil,
            !operations.isSpawned(uuid, by: arguments.operation),
            try await conductor.instance(instance.uuid, context: arguments.context)?.host == host
        else { return false }
        logger.notice("instance has been built already", metadata: ["instance": "\(instance.uuid)"])
        return true
    }

    /// Writes down that the instance is built here.
    ///
    /// - Returns: `false` when it is not wanted any more.
    private func claim(_ arguments: NovaArguments, _ instance: NovaInstance) async throws -> Bool {
        var changes = placing
        changes["vm_state"] = .string(VMState.building.rawValue)
        changes["task_state"] = .string(TaskState.spawning.rawValue)
        changes["launched_on"] = .string(host)
        let outcome = try await save(
            arguments,
            instance,
            changes,
            expected: [.scheduling, nil]
        )
        guard case .superseded(let reason) = outcome, let conductor else { return true }
        // Perhaps it was this very save, before a restart or with an answer that was lost.
        if reason == "UnexpectedTaskStateError",
            let present = try await conductor.instance(instance.uuid, context: arguments.context),
            present.host == host, present.taskState == TaskState.spawning.rawValue
        {
            return true
        }
        logger.notice(
            "instance not built: it is not waiting for it",
            metadata: ["instance": "\(instance.uuid)", "reason": "\(reason)"]
        )
        return false
    }

    /// - Parameters:
    ///   - interfaces: VIFs that were made for it; `nil`: those that the message carries.
    ///   - image: what is known of the image, as a plain map or an object.
    ///   - password: the new administrator's, for the config drive.
    func spawnRequest(
        _ arguments: NovaArguments,
        _ instance: NovaInstance,
        _ interfaces: [JSONValue]?,
        image: JSONValue?,
        password: String?
    ) throws -> SpawnRequest {
        let object = instance.object
        // Without the columns the flavor tells it.
        let flavor = try object.object("flavor")
        func size(_ name: String, in range: ClosedRange<Int>) throws -> Int {
            guard let value = object[name] ?? flavor?[name] else {
                throw Field("instance", object.primitive).invalid("needs \(name)")
            }
            return try Field("instance.\(name)", value).integer(in: range)
        }
        var request = SpawnRequest(
            uuid: try uuid(instance),
            name: instance.name,
            memoryMB: try size("memory_mb", in: 1...16_777_216),
            vcpus: try size("vcpus", in: 1...4096),
            rootGB: try size("root_gb", in: 0...Self.largestDiskGB)
        )
        let ephemeral = try object["ephemeral_gb"].map {
            try Field("instance.ephemeral_gb", $0).integer(in: 0...Self.largestDiskGB)
        }
        request.ephemeralGB = (ephemeral ?? 0) > 0 ? [ephemeral ?? 0] : []
        request.metadata = instance.metadata
        let disks = try arguments.object("block_device_mapping")?.objects() ?? []
        guard !disks.contains(where: { $0["destination_type"] == "volume" }) else {
            throw OperationError.notImplemented("volumes of a new instance are not supported by host \(host)")
        }
        if let image = try ImageMetaArgument(plain: image, name: "image") {
            request.imageRef = try image.id() ?? object["image_ref"]?.stringValue
            request.imageDetails = try image.details()
        }
        request.interfaces = try DeviceArguments.interfaces(
            Field("network_info", .array(try interfaces ?? instance.networkInfo()))
        )
        request.configDrive = try object["config_drive"].map { try Field("config_drive", $0).bool() } ?? false
        let injected = try InjectedFiles.list(arguments["injected_files"].map { Field("injected_files", $0) })
        if request.configDrive || operations.settings.forceConfigDrive {
            let content = ConfigDriveContent(
                uuid: request.uuid,
                name: object["hostname"]?.stringValue ?? instance.displayName ?? request.name,
                metadata: request.metadata,
                interfaces: request.interfaces,
                injectedFiles: injected,
                adminPassword: injectsPasswords() ? password : nil
            )
            request.configDriveFiles = Redacted(try content.files())
        }
        return request
    }

    private func terminate(_ arguments: NovaArguments, _ instance: NovaInstance) async throws -> JSONValue {
        await tell("shutdown", .start, arguments, instance)
        let given = cloud.network == nil ? [] : try await givenPorts(instance, arguments.context)
        try await operations.destroy(
            try uuid(instance),
            interfaces: [],
            volumes: [],
            destroyDisks: true,
            arguments.operation
        )
        try await releaseNetworks(instance, given: given, arguments.context)
        await tell("shutdown", .end, arguments, instance)
        guard let conductor else { return .null }
        // No state is expected: whoever wants it deleted wins.
        let outcome = try await conductor.save(
            instance,
            [
                "vm_state": .string(VMState.deleted.rawValue), "task_state": .null, "power_state": 0,
                "terminated_at": .string(NovaTime.now),
            ],
            expected: nil,
            context: arguments.context
        )
        await free(instance.uuid)
        if outcome == .saved { try await conductor.destroy(instance, host: host, context: arguments.context) }
        return .null
    }
}
