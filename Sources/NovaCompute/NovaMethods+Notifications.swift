import Logging
import NovaObjects
import OsloMessaging
import Support

/// Nova's notifications around the operations. An instance is described as the database has it at that moment, which
/// needs an answer of the conductor's: one attempt, within ``NovaSettings/eventTimeout``, or else as the request has it. A
/// notification that cannot be made is done without.
extension NovaMethods {
    /// What a description needs beside the columns.
    private static let described = ["flavor", "info_cache", "metadata", "system_metadata"]
    private static let describedAtCreation = described + ["keypairs", "tags", "trusted_certs"]

    /// What is told of the request by ``carryOut(_:_:event:failure:undo:_:)``; `nil`: nothing.
    func subject(_ arguments: NovaArguments) -> InstanceNotifier.Subject? {
        let method = arguments.request.method
        guard notifier != nil, !Self.unsupportedOperations.contains(method) else { return nil }
        return InstanceNotifier.subjects[method]
    }

    func tell(
        _ subject: InstanceNotifier.Subject?,
        _ phase: InstanceNotifier.Phase,
        _ arguments: NovaArguments,
        _ instance: NovaInstance,
        fault: NovaObject? = nil
    ) async {
        guard let notifier, let subject else { return }
        do {
            let payload = try await payload(subject, arguments, instance, fault)
            notifier.send(subject, phase, payload, context: arguments.context)
        } catch {
            logger.warning(
                "notification not made",
                metadata: [
                    "instance": "\(instance.uuid)", "event": "\(subject.action).\(phase.rawValue)", "error": "\(error)",
                ]
            )
        }
    }

    /// The same for a part of an operation that has no method of its own.
    func tell(
        _ action: String,
        _ phase: InstanceNotifier.Phase,
        _ arguments: NovaArguments,
        _ instance: NovaInstance
    ) async {
        await tell(InstanceNotifier.Subject(action: action), phase, arguments, instance)
    }

    /// Tells what has become of a request that failed.
    func tell(_ failure: RemoteFailure, _ arguments: NovaArguments, _ instance: NovaInstance) async {
        guard let notifier else { return }
        let exception = Self.exception(failure, arguments)
        if let subject = subject(arguments), subject.tellsFailure {
            await tell(subject, .error, arguments, instance, fault: exception)
        } else {
            notifier.sendException(exception, context: arguments.context)
        }
    }

    /// Tells that a resize did not begin at this host.
    func tellResize(_ failure: RemoteFailure, _ arguments: NovaArguments, _ instance: NovaInstance) async {
        let subject = InstanceNotifier.Subject(action: "resize")
        await tell(subject, .error, arguments, instance, fault: Self.exception(failure, arguments))
    }

    private static func exception(_ failure: RemoteFailure, _ arguments: NovaArguments) -> NovaObject {
        InstancePayload.exception(
            failure.className,
            module: failure.module ?? "builtins",
            function: arguments.request.method,
            message: failure.message,
            details: failure.traceback.isEmpty ? "\(failure)" : failure.traceback.joined(separator: ",")
        )
    }

    /// What became of a boot whose result nobody wanted any more.
    func tellSuperseded(_ reason: String, _ arguments: NovaArguments, _ instance: NovaInstance) async {
        await tell(
            RemoteFailure(
                className: reason,
                module: "nova.exception",
                message: "the state of instance \(instance.uuid) changed meanwhile"
            ),
            arguments,
            instance
        )
    }

    // MARK: - Payloads

    private func payload(
        _ subject: InstanceNotifier.Subject,
        _ arguments: NovaArguments,
        _ instance: NovaInstance,
        _ fault: NovaObject?
    ) async throws -> NovaObject {
        let present = await describe(
            instance,
            subject.form == .creation || subject.form == .rebuild ? Self.describedAtCreation : Self.described
        )
        let payload = try InstancePayload(
            present,
            by: InstancePayload.Initiator(context: arguments.context),
            blockDevices: Self.blockDevices(arguments)
        )
        switch subject.form {
        case .action: return payload.action(fault: fault)
        case .creation: return try payload.creation(fault: fault)
        case .snapshot: return payload.snapshot(image: try arguments.string("image_id"), fault: fault)
        case .volume:
            let volume = try arguments["volume_id"]?.stringValue ?? arguments.object("bdm")?.string("volume_id")
            return payload.volume(volume ?? "", fault: fault)
        case .rebuild: return try payload.rebuild(fault: fault)
        case .resizePreparation: return payload.resizePreparation(to: try arguments.object("flavor"), fault: fault)
        }
    }

    /// Those that the request says the instance has; `nil` when it says nothing.
    private static func blockDevices(_ arguments: NovaArguments) -> [NovaObject]? {
        for name in ["block_device_mapping", "bdms"] {
            guard let value = arguments[name], let list = try? NovaObject(value) else { continue }
            return try? list.objects()
        }
        return nil
    }

    /// The instance as the database has it, also one that is deleted; in one attempt.
    private func describe(_ instance: NovaInstance, _ attributes: [String]) async -> NovaInstance {
        guard let conductor else { return instance }
        do {
            return try await conductor.instance(
                instance.uuid,
                with: attributes,
                context: AdminContext.make(readsDeleted: true),
                isPatient: false
            )
        } catch {
            logger.debug("instance not asked for", metadata: ["instance": "\(instance.uuid)", "error": "\(error)"])
            return instance
        }
    }
}
