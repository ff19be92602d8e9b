import ComputeRPC
import HostBackend
import Logging
import NovaObjects
import OpenStackAPI
import OsloMessaging
import Support
import Synchronization
import VMOps

/// Taking over what a host that is gone ran: `rebuild_instance` with `recreate`.
///
/// On storage that both hosts see the disks are taken as they are, by the hosts' own protocol, which keeps two hosts from
/// running one guest. Otherwise the instance is made anew from its image. Until it runs here, the record says that it is
/// the other host's.
extension NovaMethods {
    /// How an evacuation that came to nothing is left.
    private final class Outcome: Sendable {
        private let arrived = Atomic<Bool>(false)

        /// The machine is here; what fails from now on takes nothing back.
        var isHere: Bool {
            get { arrived.load(ordering: .relaxed) }
            set { arrived.store(newValue, ordering: .relaxed) }
        }
    }

    func evacuate(_ arguments: NovaArguments, _ instance: NovaInstance) async throws -> JSONValue {
        let outcome = Outcome()
        return try await carryOut(
            arguments,
            instance,
            failure: .error,
            undo: { [self] in
                if !outcome.isHere { await undoEvacuation(arguments, instance) }
            }
        ) {
            try await takeIn(arguments, instance, outcome)
            return .null
        }
    }

    private func takeIn(_ arguments: NovaArguments, _ instance: NovaInstance, _ outcome: Outcome) async throws {
        let uuid = try uuid(instance)
        let state = try stateAfter(arguments, instance)
        if try await isOver(arguments, instance, uuid) { return try await note(.done, arguments) }
        let isStored = try await isStored(arguments, instance, uuid)
        try await conductor?.claim(try arguments.object("migration"), by: host, context: arguments.context)
        guard try await advance(to: .rebuilding, arguments, instance, ["power_state": 0]) else {
            return await undoEvacuation(arguments, instance)
        }
        let interfaces = try await takePorts(instance, arguments.context)
        guard try await advance(to: .rebuildBlockDeviceMapping, arguments, instance),
            try await advance(to: .rebuildSpawning, arguments, instance)
        else { return await undoEvacuation(arguments, instance) }
        let info = try await make(arguments, instance, interfaces, isStored: isStored, isOn: state == .active)
        outcome.isHere = true
        var changes = rebuilt(info, state)
        for change in placing { changes[change.key] = change.value }
        if try await save(arguments, instance, changes, expected: [.rebuildSpawning]) != .saved {
            return try await giveUp(arguments, instance, uuid, isStored: isStored)
        }
        try await note(.done, arguments)
    }

    /// What the instance is to be in the end.
    private func stateAfter(_ arguments: NovaArguments, _ instance: NovaInstance) throws -> VMState {
        if let target = arguments["target_state"]?.stringValue, instance.vmState != .error {
            guard target == VMState.stopped.rawValue else {
                throw Field("target_state", .string(target)).invalid("must be stopped")
            }
            return .stopped
        }
        return instance.vmState == .stopped ? .stopped : .active
    }

    /// Whether this very evacuation is done, and only a crash has kept that from being said.
    ///
    /// - Throws: `InstanceExists` when there is an instance here for which another one is the reason.
    private func isOver(
        _ arguments: NovaArguments,
        _ instance: NovaInstance,
        _ uuid: InstanceUUID
    ) async throws -> Bool {
        guard let info = try await operations.presentInfo(uuid) else { return false }
        guard let conductor, let record = try await conductor.instance(instance.uuid, context: arguments.context) else {
            return false
        }
        if record.taskState == nil, record.host == host { return true }
        // Made here, and not written down as this host's.
        if record.taskState == TaskState.rebuildSpawning.rawValue { return false }
        throw OperationError.exists(info.name)
    }

    private func isStored(
        _ arguments: NovaArguments,
        _ instance: NovaInstance,
        _ uuid: InstanceUUID
    ) async throws -> Bool {
        if operations.isSpawned(uuid, by: arguments.operation) { return false }
        let isStored = try await operations.isStored(uuid)
        if let told = try arguments["on_shared_storage"].map({ try Field("on_shared_storage", $0).bool() }),
            told != isStored
        {
            throw OperationError(
                .novaException,
                "Invalid state of instance files on shared storage: host \(host) "
                    + (isStored ? "sees them" : "does not see them")
            )
        }
        return isStored
    }

    private func make(
        _ arguments: NovaArguments,
        _ instance: NovaInstance,
        _ interfaces: [JSONValue]?,
        isStored: Bool,
        isOn: Bool
    ) async throws -> InstanceInfo {
        if isStored {
            return try await operations.evacuate(
                try uuid(instance),
                powerOn: isOn,
                interfaces: try interfaces.map {
                    try DeviceArguments.interfaces(Field("network_info", .array($0)))
                },
                arguments.operation
            )
        }
        guard let image = try await rebuildImage(arguments, instance),
            try await conductor?.hasVolumes(instance, context: arguments.context) != true
        else {
            throw OperationError.notImplemented(
                "evacuating an instance with volumes, without shared storage, is not supported by host \(host)"
            )
        }
        var request = try spawnRequest(
            arguments,
            instance,
            interfaces,
            image: image,
            password: arguments["new_pass"]?.stringValue
        )
        request.powerOn = isOn
        return try await operations.spawn(request, arguments.operation)
    }

    private func note(_ status: MigrationStatus, _ arguments: NovaArguments) async throws {
        try await note(status, try arguments.object("migration"), arguments)
    }

    // MARK: - Ports

    /// Binds the instance's ports to this host, and writes down what they are then. May be repeated.
    ///
    /// - Returns: the VIFs; `nil` when ports are not this host's business.
    private func takePorts(_ instance: NovaInstance, _ context: JSONObject) async throws -> [JSONValue]? {
        guard let network = cloud.network else { return nil }
        return try await cloud.refreshes.lane(instance.uuid).run {
            var ports: [JSONObject] = []
            for var port in try await network.ports(of: instance.uuid) {
                guard let id = port["id"]?.stringValue else { continue }
                if port["binding:host_id"]?.stringValue != host {
                    port = try await network.update(id, ["binding:host_id": .string(host)])
                }
                guard port["binding:vif_type"] != "binding_failed" else { throw Self.bindingFailure(id) }
                ports.append(port)
            }
            let present = try await conductor?.instance(instance.uuid, context: context) ?? instance
            let interfaces = try await describe(ports, as: present.networkInfo(), network)
            try await conductor?.saveNetworkInfo(interfaces, of: instance, context: context)
            return interfaces
        }
    }

    // MARK: - Coming to nothing

    /// The instance is, as far as anybody knows, still the host's that is gone.
    private func undoEvacuation(_ arguments: NovaArguments, _ instance: NovaInstance) async {
        let host = host
        if let source = instance.host, source != host {
            await eachPort(instance, "port not given back") { network, port, id throws(OpenStackError) in
                guard port["binding:host_id"]?.stringValue == host else { return }
                _ = try await network.update(id, ["binding:host_id": .string(source)])
            }
        }
        await freeHere(instance.uuid)
        do {
            try await note(.failed, arguments)
        } catch {
            logger.error(
                "failed evacuation not told",
                metadata: ["instance": "\(instance.uuid)", "error": "\(error)"]
            )
        }
    }

    /// It runs here, and somebody has changed his mind: deleted the instance, or reset its state.
    private func giveUp(
        _ arguments: NovaArguments,
        _ instance: NovaInstance,
        _ uuid: InstanceUUID,
        isStored: Bool
    ) async throws {
        let record = try await conductor?.instance(instance.uuid, context: arguments.context)
        let isDeleted = record == nil || record?.isDeleted == true
        logger.notice(
            "evacuated instance not wanted any more",
            metadata: ["instance": "\(instance.uuid)", "deleted": "\(isDeleted)"]
        )
        try await operations.removeEvacuated(uuid, keepsFiles: isStored && !isDeleted, arguments.operation)
        await undoEvacuation(arguments, instance)
    }
}
