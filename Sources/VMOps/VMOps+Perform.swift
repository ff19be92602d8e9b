import HostBackend
import Journal
import Logging
import Support

/// What `perform` has to know of an operation.
struct OperationKind {
    /// The remote method's name, for logs, notifications and `task`.
    var name: String
    var state: TransitionalState?
    /// The class of an unexpected failure.
    var failure: OperationError.Code
    /// Cuts the interruptible waits of the operations before it short.
    var impatient = false
}

extension VMOps {
    /// Runs an operation in its instance's lane, seen by `get_info` and the observer, its errors turned into those
    /// that clients know.
    func perform<Result>(
        _ kind: OperationKind,
        on instance: Instance,
        _ context: OperationContext,
        _ body: () async throws -> Result
    ) async throws -> Result {
        guard instance.lane.waiting < settings.maxQueuePerInstance else {
            throw OperationError(
                kind.failure,
                "Too many requests wait for instance \(instance.uuid).",
                details: ["reason": "queue full"]
            )
        }
        let run = {
            guard !instance.isGone else { throw OperationError.notFound(instance.uuid.text) }
            return try await RequestContext.$current.withValue(
                RequestContext(uuid: instance.uuid, metadata: instance.record.metadata)
            ) {
                try await self.observed(kind, on: instance, context, body)
            }
        }
        if kind.impatient {
            return try await instance.hurry("superseded by \(kind.name)", run)
        }
        return try await instance.lane.run(run)
    }

    private func observed<Result>(
        _ kind: OperationKind,
        on instance: Instance,
        _ context: OperationContext,
        _ body: () async throws -> Result
    ) async throws -> Result {
        instance.begin(Instance.Activity(operation: kind.name, state: kind.state))
        defer { instance.end() }
        observer.operationStarted(kind.name, instance.record, context: context)
        do {
            let result = try await body()
            observer.operationEnded(kind.name, instance.record, context: context, error: nil)
            return result
        } catch {
            let known = OperationError(error, failure: kind.failure, instance: instance.uuid.text, host: host)
            observer.operationEnded(kind.name, instance.record, context: context, error: known)
            throw known
        }
    }

    /// The machine as the host sees it; `nil` when the host has no such machine.
    func machine(_ uuid: InstanceUUID) async throws -> MachineStatus? {
        if let known = backend.machineIfKnown(uuid) { return known }
        do {
            return try await backend.machine(uuid)
        } catch let error as BackendError where error.code == .notFound {
            return nil
        }
    }

    /// Asks for the state and insists on it.
    func reach(_ target: TargetState, _ uuid: InstanceUUID, failure: OperationError.Code) async throws {
        let reached = try await backend.setState(uuid, target, deadline: settings.stateChangeTimeout)
        guard reached == target.state else {
            throw OperationError(
                failure,
                "Instance \(uuid) is \(reached.clientName) after being asked to be \(target.state.clientName).",
                details: ["reason": "state is \(reached.clientName)"]
            )
        }
    }

    /// Remembers what changed. A journal that cannot be written now does not undo what has already happened: the
    /// host's own state is read again at the next start.
    func remember(_ instance: Instance, _ change: (inout InstanceRecord) -> Void) async {
        guard let record = instance.update(change) else { return }
        do {
            try await journal.save(record)
        } catch {
            logger.error(
                "instance record not saved",
                metadata: ["instance": "\(instance.uuid)", "error": "\(error)"]
            )
        }
    }
}
