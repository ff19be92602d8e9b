import ComputeRPC
import HostBackend
import Logging
import NovaObjects
import OsloMessaging
import Support
import VMOps

/// Builds the table of Nova's methods: objects in, operation, saves through the conductor.
struct NovaMethods: Sendable {
    let operations: VMOps
    let conductor: Conductor?
    let caller: any NovaCaller
    let cloud: CloudServices
    let settings: NovaSettings
    let injectsPasswords: @Sendable () -> Bool
    /// `nil`: nobody is told by Nova's notifications.
    let notifier: InstanceNotifier?
    let logger: Logger

    var host: String { operations.host }
    var versions: ObjectVersions { settings.versions }

    var all: [RemoteMethod] {
        lifeCycle + power + reads + migration + migrationPeer + snapshots + rebuilds + interfaces + volumes
            + resizes + resizeEnds + unsupported
    }

    /// A method that changes an instance: accepted durably before it runs. What it throws is told to the control plane
    /// by the method itself.
    func mutating(
        _ name: String,
        _ required: [String] = ["instance"],
        hidden: Set<String> = [],
        _ body: @escaping @Sendable (NovaArguments) async throws -> JSONValue
    ) -> RemoteMethod {
        RemoteMethod(
            name,
            hiddenArguments: hidden,
            .mutating { request in
                do {
                    return try await body(NovaArguments(request, required: required))
                } catch {
                    throw RemoteFailure.from(error)
                }
            }
        )
    }

    /// A method that changes nothing but may wait.
    func reading(
        _ name: String,
        _ required: [String] = ["instance"],
        _ body: @escaping @Sendable (NovaArguments) async throws -> JSONValue
    ) -> RemoteMethod {
        RemoteMethod(
            name,
            .read { request in
                do {
                    return try await body(NovaArguments(request, required: required))
                } catch {
                    throw RemoteFailure.from(error)
                }
            }
        )
    }

    // MARK: - Instances

    /// The instance that a request is about. One of a major version nobody here knows is sent to the conductor first.
    func instance(_ arguments: NovaArguments) async throws -> NovaInstance {
        let value = arguments.request.args["instance"] ?? .null
        do {
            do {
                return try NovaInstance(value)
            } catch {
                guard error.code == .incompatibleVersion, let conductor else { throw error }
                return try NovaInstance(try await conductor.backport(value, context: arguments.context))
            }
        } catch let error as NovaObjectError {
            throw Field("instance", value).invalid("cannot be read: \(error)")
        }
    }

    func uuid(_ instance: NovaInstance) throws -> InstanceUUID {
        guard let uuid = InstanceUUID(instance.uuid) else {
            throw Field("instance.uuid", .string(instance.uuid)).invalid("is not a UUID")
        }
        return uuid
    }

    // MARK: - Carrying out

    /// What is saved when an operation fails.
    struct Failure: Sendable {
        /// Nothing is being done any more; everything else stays.
        static let rest = Failure(changes: ["task_state": .null])
        static let error = Failure(changes: ["vm_state": "error", "task_state": .null])
        /// The instance is nowhere, and may be built elsewhere.
        static let unbuilt = Failure(
            changes: ["vm_state": "error", "task_state": .null, "host": .null, "node": .null]
        )
        /// Nothing: it would not be this host's to say.
        static let silent = Failure(changes: [:])

        var changes: JSONObject
    }

    /// Runs an operation as an event of the user's action. However it fails, no instance stays in a task state, and the
    /// users are told.
    ///
    /// - Parameter undo: what is to be undone before they are.
    func carryOut(
        _ arguments: NovaArguments,
        _ instance: NovaInstance,
        event: String? = nil,
        failure plan: Failure = .rest,
        undo: @escaping @Sendable () async -> Void = {},
        _ body: () async throws -> JSONValue
    ) async throws -> JSONValue {
        guard let conductor else {
            do {
                return try await body()
            } catch {
                // As below.
                await Task { await undo() }.value
                throw error
            }
        }
        let event = event ?? arguments.request.method
        await conductor.eventStarted(event, instance.uuid, host: host, context: arguments.context)
        let subject = subject(arguments).flatMap { $0.tellsItself ? nil : $0 }
        await tell(subject, .start, arguments, instance)
        do {
            let result = try await body()
            await tell(subject, .end, arguments, instance)
            await conductor.eventEnded(event, instance.uuid, problem: nil, context: arguments.context)
            return result
        } catch {
            let failure = RemoteFailure.from(error)
            // Awaited right here; unstructured only so that a cancelled operation is told as well.
            await Task { [self] in
                await undo()
                await tell(failure, conductor, instance, plan, arguments.context)
                await tell(failure, arguments, instance)
                await conductor.eventEnded(event, instance.uuid, problem: "\(failure)", context: arguments.context)
            }.value
            throw failure
        }
    }

    private func tell(
        _ failure: RemoteFailure,
        _ conductor: Conductor,
        _ instance: NovaInstance,
        _ plan: Failure,
        _ context: JSONObject
    ) async {
        do {
            if !plan.changes.isEmpty {
                _ = try await conductor.save(instance, unplacing(plan.changes), expected: nil, context: context)
            }
            await conductor.fault(failure, instance.uuid, host: host, context: context)
        } catch {
            logger.error(
                "failure of an operation not saved",
                metadata: ["instance": "\(instance.uuid)", "failure": "\(failure)", "error": "\(error)"]
            )
        }
    }

    /// Saves a result, if there is a conductor.
    @discardableResult
    func save(
        _ arguments: NovaArguments,
        _ instance: NovaInstance,
        _ changes: JSONObject,
        expected: [TaskState?]?
    ) async throws -> Conductor.Outcome {
        guard let conductor else { return .saved }
        return try await conductor.save(instance, changes, expected: expected, context: arguments.context)
    }
}
