import Logging
package import NovaObjects
package import OsloMessaging
package import Support

extension Conductor {
    /// Failures that tell of another's say over the instance rather than of a fault.
    private static let superseding: Set<String> = [
        "UnexpectedTaskStateError", "UnexpectedDeletingTaskStateError", "UnexpectedVMStateError", "InstanceNotFound",
        "ObjectActionError",
    ]
    /// InternalServerError: Nova's code for a fault that is not the user's.
    private static let faultCode: Int64 = 500
    /// Of a text column.
    private static let longestMessage = 255

    /// Writes some attributes of an instance, if it is in one of the expected task states.
    ///
    /// - Parameter expected: `nil` = whatever its state; a `nil` among them is the null of an instance at rest.
    package func save(
        _ instance: NovaInstance,
        _ changes: JSONObject,
        expected: [TaskState?]?,
        context: JSONObject
    ) async throws -> Outcome {
        try await save(instance, changes, states: expected?.map { $0?.rawValue }, context: context)
    }

    /// The same with task states by name, for those that a worker of ours never sets itself.
    package func save(
        _ instance: NovaInstance,
        _ changes: JSONObject,
        states: [String?]?,
        context: JSONObject
    ) async throws -> Outcome {
        let object = settings.versions.change(NovaInstance.className, identity: instance.identity, changes)
        let states = states?.map { $0.map(JSONValue.string) ?? .null }
        let kwargs: JSONObject = states.map { ["expected_task_state": .array($0)] } ?? [:]
        do {
            _ = try await act("save", on: object, kwargs, context: context)
            return .saved
        } catch let failure as RemoteFailure where Self.superseding.contains(failure.className) {
            logger.notice(
                "state of an instance not saved",
                metadata: ["instance": "\(instance.uuid)", "error": "\(failure)"]
            )
            return .superseded(failure.className)
        }
    }

    /// The instance as the database has it; `nil` when it has none.
    package func instance(_ uuid: String, context: JSONObject) async throws -> NovaInstance? {
        do {
            return try await instance(uuid, with: ["info_cache", "metadata"], context: context)
        } catch let failure as RemoteFailure where failure.className == "InstanceNotFound" {
            return nil
        }
    }

    /// The same with other attributes besides the columns.
    ///
    /// - Parameter isPatient: see ``actOnClass(_:_:_:_:context:isPatient:)``.
    /// - Throws: `RemoteFailure` `InstanceNotFound` when the database has none.
    func instance(
        _ uuid: String,
        with attributes: [String],
        context: JSONObject,
        isPatient: Bool = true
    ) async throws -> NovaInstance {
        try NovaInstance(
            try await actOnClass(
                NovaInstance.className,
                "get_by_uuid",
                [],
                ["uuid": .string(uuid), "expected_attrs": .array(attributes.map(JSONValue.string))],
                context: context,
                isPatient: isPatient
            )
        )
    }

    /// Marks the instance deleted. The host goes along: Nova compares it with what the database has.
    package func destroy(_ instance: NovaInstance, host: String, context: JSONObject) async throws {
        var identity = instance.identity
        identity["host"] = .string(instance.host ?? host)
        let object = NovaObject(NovaInstance.className, settings.versions[NovaInstance.className], identity)
        do {
            _ = try await act("destroy", on: object, context: context)
        } catch let failure as RemoteFailure where Self.superseding.contains(failure.className) {
            logger.notice(
                "instance not marked deleted",
                metadata: ["instance": "\(instance.uuid)", "error": "\(failure)"]
            )
        }
    }

    /// Writes what a migration has come to. One that is gone is nobody's business any more.
    ///
    /// - Parameter changes: further attributes.
    package func save(
        _ migration: NovaObject?,
        status: MigrationStatus,
        _ changes: JSONObject = [:],
        context: JSONObject
    ) async throws {
        guard let migration else { return }
        var changes = changes
        changes["status"] = .string(status.rawValue)
        do {
            try await save(migration, changes, context: context)
        } catch let failure as RemoteFailure {
            logger.warning("migration not saved", metadata: ["status": "\(status.rawValue)", "error": "\(failure)"])
        }
    }

    /// Writes some attributes of a migration.
    func save(_ migration: NovaObject, _ changes: JSONObject, context: JSONObject) async throws {
        var identity: JSONObject = [:]
        for name in ["id", "uuid"] { if let value = migration[name] { identity[name] = value } }
        let object = settings.versions.change("Migration", identity: identity, changes)
        _ = try await act("save", on: object, context: context)
    }

    /// Writes what an instance's interfaces are, for users to see.
    func saveNetworkInfo(_ interfaces: [JSONValue], of instance: NovaInstance, context: JSONObject) async throws {
        let object = settings.versions.change(
            "InstanceInfoCache",
            identity: ["instance_uuid": .string(instance.uuid)],
            ["network_info": .string(try NetworkInfo.text(.array(interfaces)))]
        )
        do {
            _ = try await act("save", on: object, context: context)
        } catch let failure as RemoteFailure where Self.superseding.contains(failure.className) {
            logger.debug("network info of nobody", metadata: ["instance": "\(instance.uuid)", "error": "\(failure)"])
        }
    }

    /// The migration of that identifier; `nil` when there is none.
    func migration(_ uuid: String, context: JSONObject) async throws -> NovaObject? {
        do {
            let value = try await actOnClass(
                "Migration",
                "get_by_uuid",
                [],
                ["migration_uuid": .string(uuid)],
                context: context
            )
            return value.isNull ? nil : try NovaObject(value)
        } catch let failure as RemoteFailure where failure.className == "MigrationNotFound" {
            return nil
        }
    }

    // MARK: - What users are shown

    /// The action's list of events is worth neither a failure nor a wait: whatever goes wrong is only logged.
    package func eventStarted(_ event: String, _ uuid: String, host: String, context: JSONObject) async {
        await noteEvent(
            "event_start",
            [.string(uuid), .string("compute_\(event)")],
            ["want_result": false, "host": .string(host)],
            context
        )
    }

    /// - Parameter problem: what the users are shown of a failure.
    package func eventEnded(_ event: String, _ uuid: String, problem: String?, context: JSONObject) async {
        await noteEvent(
            "event_finish_with_failure",
            [.string(uuid), .string("compute_\(event)")],
            [
                "exc_val": problem.map(JSONValue.string) ?? .null, "exc_tb": problem.map(JSONValue.string) ?? .null,
                "want_result": false,
            ],
            context
        )
    }

    private func noteEvent(_ method: String, _ args: [JSONValue], _ kwargs: JSONObject, _ context: JSONObject) async {
        do {
            _ = try await actOnClass("InstanceActionEvent", method, args, kwargs, context: context, isPatient: false)
        } catch {
            logger.debug("event not noted", metadata: ["method": "\(method)", "error": "\(error)"])
        }
    }

    /// Lets users see why the last operation failed.
    package func fault(_ failure: RemoteFailure, _ uuid: String, host: String, context: JSONObject) async {
        let code = failure.kwargs["code"]?.intValue ?? Self.faultCode
        let message = failure.message.isEmpty ? failure.className : failure.message
        let object = settings.versions.make(
            "InstanceFault",
            [
                "instance_uuid": .string(uuid), "code": .int(code),
                "message": .string(String(decoding: message.utf8.prefix(Self.longestMessage), as: UTF8.self)),
                "details": .string("\(failure)"), "host": .string(host),
            ]
        )
        do {
            _ = try await act("create", on: object, context: context)
        } catch {
            logger.warning("fault not noted", metadata: ["instance": "\(uuid)", "error": "\(error)"])
        }
    }
}
