import HostBackend
import Logging
import NovaObjects
import OsloMessaging
import Support
import VMOps

/// Brings instances here and in the database into line: once at the start, then regularly and when a machine changes.
extension ComputeService {
    /// Compares everything, at the start. What an accepted request is about is left to that request.
    ///
    /// - Parameter provider: the host's at placement.
    /// - Returns: what takes longer than a save, and is to be done while the host serves.
    func reconcile(_ provider: String) async throws -> [(instance: NovaInstance, action: Reconciliation.Action)] {
        let context = AdminContext.make()
        let open = try await openRequests()
        let evacuated = try await removeEvacuated(open: open, provider: provider)
        let instances = try await conductor.instances(on: host, context: context)
        var later: [(instance: NovaInstance, action: Reconciliation.Action)] = []
        for instance in instances where !open.contains(instance.uuid) && !evacuated.contains(instance.uuid) {
            switch Reconciliation(instance, try await presence(instance)).atStart {
            case .nothing: break
            case let action where action.isLong: later.append((instance, action))
            case let action: try await perform(action, instance, context)
            }
        }
        try await removeDeleted(known: instances, open: open)
        return later
    }

    /// Compares instances that nothing is being done with.
    func compareAll() async {
        do {
            let context = AdminContext.make()
            let open = try await openRequests()
            _ = try await removeEvacuated(open: open, provider: methods.cloud.provider.uuid)
            let instances = try await conductor.instances(on: host, context: context)
            var lost: [NovaInstance] = []
            for instance in instances {
                if try await !compare(instance, context) { lost.append(instance) }
            }
            try await removeDeleted(known: instances, open: try await openRequests())
            await takeBack(lost)
        } catch {
            if !Task.isCancelled { logger.warning("instances not compared", metadata: ["error": "\(error)"]) }
        }
    }

    /// Compares one instance whose machine has changed on its own.
    ///
    /// - Returns: `false` when something is being done with it, so that it is too early.
    func compare(_ uuid: InstanceUUID) async -> Bool {
        do {
            let context = AdminContext.make()
            guard let instance = try await conductor.instance(uuid.text, context: context), instance.host == host else {
                return true
            }
            guard instance.taskState == nil else { return false }
            _ = try await compare(instance, context)
        } catch {
            if Task.isCancelled { return true }
            logger.warning("instance not compared", metadata: ["instance": "\(uuid)", "error": "\(error)"])
        }
        return true
    }

    /// The database was asked first: whatever has happened since has left a task state, or been saved.
    ///
    /// - Returns: `false` when the instance seems lost, which may take long to find out.
    private func compare(_ instance: NovaInstance, _ context: JSONObject) async throws -> Bool {
        guard instance.taskState == nil else { return true }
        let action = Reconciliation(instance, try await presence(instance)).atRest
        if action == .takeBack { return false }
        try await perform(action, instance, context)
        return true
    }

    private func presence(_ instance: NovaInstance) async throws -> Reconciliation.Presence {
        guard let uuid = InstanceUUID(instance.uuid), let info = try await operations.presentInfo(uuid) else {
            return .absent
        }
        return info.task == nil && info.migration == nil ? .resting(powerState: info.powerState) : .busy
    }

    /// What ``reconcile()`` left.
    func performLater(_ action: Reconciliation.Action, _ instance: NovaInstance) async {
        do {
            try await perform(action, instance, AdminContext.make())
        } catch {
            if Task.isCancelled { return }
            logger.error("state not corrected", metadata: ["instance": "\(instance.uuid)", "error": "\(error)"])
        }
    }

    private func perform(
        _ action: Reconciliation.Action,
        _ instance: NovaInstance,
        _ context: JSONObject
    ) async throws {
        switch action {
        case .nothing: break
        case .request(let request): await carryOut(request, instance)
        case .powerOff: try await powerOff(instance, context)
        case .takeBack: await takeBack([instance])
        case .save(let vmState, let powerState):
            var changes: JSONObject = instance.taskState == nil ? [:] : ["task_state": .null]
            if let vmState { changes["vm_state"] = .string(vmState.rawValue) }
            if let powerState { changes["power_state"] = .int(Int64(powerState)) }
            guard !changes.isEmpty else { return }
            logger.notice(
                "state of an instance corrected",
                metadata: [
                    "instance": "\(instance.uuid)", "was": "\(Self.described(instance))",
                    "vm_state": "\(vmState.map(\.rawValue) ?? "as it was")",
                ]
            )
            _ = try await conductor.save(instance, changes, states: [instance.taskState], context: context)
        }
    }

    private static func described(_ instance: NovaInstance) -> String {
        let power = instance.powerState.map(String.init) ?? "unknown"
        return "\(instance.vmState?.rawValue ?? "unknown")/\(instance.taskState ?? "none")/\(power)"
    }

    /// A machine that runs although the database says it is stopped. Claimed first, so that nobody starts it meanwhile.
    private func powerOff(_ instance: NovaInstance, _ context: JSONObject) async throws {
        logger.warning("instance runs that should not", metadata: ["instance": "\(instance.uuid)"])
        let claim: JSONObject = ["task_state": .string(TaskState.poweringOff.rawValue)]
        guard try await conductor.save(instance, claim, expected: [nil], context: context) == .saved else { return }
        guard let claimed = try await conductor.instance(instance.uuid, context: context) else { return }
        if claimed.vmState == .stopped { return await carryOut(.stop, claimed) }
        _ = try await conductor.save(claimed, ["task_state": .null], expected: [.poweringOff], context: context)
    }

    // MARK: - Requests

    /// Carries out what a request of the API's would. What comes of it is saved by the method.
    private func carryOut(_ request: Reconciliation.Request, _ instance: NovaInstance) async {
        let (name, args) = Self.method(request)
        guard case .mutating(let body)? = methods.all.first(where: { $0.name == name })?.handler else { return }
        logger.notice(
            "taking up what was left undone",
            metadata: ["instance": "\(instance.uuid)", "was": "\(Self.described(instance))", "method": "\(name)"]
        )
        var all = args
        all["instance"] = instance.object.primitive
        let message = RPCRequest(
            method: name,
            args: all,
            version: "6.0",
            uniqueID: UniqueID.make(),
            context: AdminContext.make()
        )
        do {
            _ = try await body(message)
        } catch {
            logger.error("it failed", metadata: ["instance": "\(instance.uuid)", "error": "\(error)"])
        }
    }

    private static func method(_ request: Reconciliation.Request) -> (name: String, args: JSONObject) {
        switch request {
        case .stop: ("stop_instance", ["clean_shutdown": true])
        case .start: ("start_instance", [:])
        case .unpause: ("unpause_instance", [:])
        case .rebootHard: ("reboot_instance", ["reboot_type": "HARD", "block_device_info": .null])
        case .terminate: ("terminate_instance", ["bdms": .array([])])
        }
    }

    // MARK: - Machines without a record

    /// An instance that was deleted while its host was away is deleted here too. One that the database has never heard of,
    /// or has on another host, is left alone: it may be somebody's.
    private func removeDeleted(known: [NovaInstance], open: Set<String>) async throws {
        guard settings.deletedAction != .noop else { return }
        let listed = Set(known.map(\.uuid))
        for info in try await operations.allInfos() {
            let uuid = info.uuid.text
            if listed.contains(uuid) || open.contains(uuid) || info.task != nil || info.migration != nil { continue }
            let record = try await conductor.instance(uuid, context: AdminContext.make(readsDeleted: true))
            if let record, record.isDeleted {
                await remove(info)
            } else if let other = record?.host, other != host {
                logger.warning(
                    "instance belongs to another host",
                    metadata: ["instance": "\(uuid)", "host": "\(other)"]
                )
            } else if record == nil {
                logger.debug("instance without a record left alone", metadata: ["instance": "\(uuid)"])
            }
        }
    }

    private func remove(_ info: InstanceInfo) async {
        logger.warning(
            "instance was deleted while its host was away",
            metadata: ["instance": "\(info.uuid)", "action": "\(settings.deletedAction.rawValue)"]
        )
        do {
            switch settings.deletedAction {
            case .noop, .log: break
            case .shutdown:
                guard info.state == "running" || info.state == "paused" else { return }
                _ = try await operations.powerOff(info.uuid, timeout: .zero, interval: .zero, OperationContext())
            case .reap:
                try await operations.destroy(
                    info.uuid,
                    interfaces: [],
                    volumes: [],
                    destroyDisks: true,
                    OperationContext()
                )
            }
        } catch {
            logger.error("it stays", metadata: ["instance": "\(info.uuid)", "error": "\(error)"])
        }
    }
}
