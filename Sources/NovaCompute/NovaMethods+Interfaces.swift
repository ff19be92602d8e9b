import ComputeRPC
import HostBackend
import Logging
import NovaObjects
import OpenStackAPI
import OsloMessaging
import Support
import VMOps

/// Interfaces of instances that exist (Nova's compute RPC, section 7.8): a port of the network service, made for the
/// instance or a user's own, plugged into the machine and written down.
///
/// While a port is being attached it belongs, at the network service, to the request rather than to the instance: its
/// `device_id` is ``mark(_:)``. So whatever was interrupted can be told from what is done, and a port that a request has
/// made is found again when it is carried out a second time. Nothing that is done to it then is done twice.
extension NovaMethods {
    var interfaces: [RemoteMethod] {
        [
            mutating("attach_interface", ["instance"]) { [self] arguments in
                let instance = try await instance(arguments)
                return try await carryOut(
                    arguments,
                    instance,
                    failure: .silent,
                    undo: { [self] in await undoAttach(arguments, instance) }
                ) {
                    try await attachInterface(arguments, instance)
                }
            },
            mutating("detach_interface", ["instance", "port_id"]) { [self] arguments in
                let instance = try await instance(arguments)
                return try await carryOut(arguments, instance, failure: .silent) {
                    try await detachInterface(arguments, instance)
                }
            },
        ]
    }

    /// Whose a port is until it is the instance's. Not of the form of an instance's identifier, so that the network
    /// service tells nobody of changes of it.
    private func mark(_ arguments: NovaArguments) -> String { "vmops-" + (arguments.request.uniqueID ?? "") }

    // MARK: - Attach

    private func attachInterface(_ arguments: NovaArguments, _ instance: NovaInstance) async throws -> JSONValue {
        guard let network = cloud.network else {
            throw NovaFault.attachNotSupported(instance.uuid, "host \(host) has no network service")
        }
        guard arguments["tag"] == nil else { throw NovaFault.taggedInterface }
        let uuid = try uuid(instance)
        // Nothing is made for an instance that is not here.
        _ = try await operations.info(uuid)
        do {
            let port = try await marked(arguments, instance, network)
            guard let id = port["id"]?.stringValue, port["binding:vif_type"] != "binding_failed" else {
                throw NovaFault.attachFailed(instance.uuid, "its port could not be bound to host \(host)")
            }
            let given: Set<String> = arguments["port_id"] == nil ? [] : [id]
            guard let vif = try await network.interfaces([port], given: given).first else {
                throw NovaFault.attachFailed(instance.uuid, "its port has no network")
            }
            let interface = try DeviceArguments.interface(Field("vif", vif))
            do {
                try await operations.attachInterface(uuid, interface, arguments.operation)
                try await conductor?.saveInterface(vif, of: instance, context: arguments.context)
                // Nobody else writes down what the instance's ports are before this one is among them.
                try await cloud.refreshes.lane(instance.uuid).run {
                    try await replace(id, by: vif, instance, arguments.context)
                    _ = try await network.update(id, ["device_id": .string(instance.uuid)])
                }
            } catch {
                // Awaited right here; unstructured only so that it is done after a cancellation too.
                await Task { [self] in await unplug(id, instance, arguments.context) }.value
                throw error
            }
            return vif
        } catch let error as OpenStackError {
            throw NovaFault.attachFailed(instance.uuid, error.message)
        } catch let error as OperationError where error.code != .instanceNotFound && error.code != .instanceInvalidState
        {
            throw NovaFault.attachFailed(instance.uuid, error.message)
        }
    }

    /// The port to be attached, the request's and bound to this host.
    private func marked(
        _ arguments: NovaArguments,
        _ instance: NovaInstance,
        _ network: NetworkClient
    ) async throws -> JSONObject {
        let mark = mark(arguments)
        var wanted: JSONObject = [
            "device_id": .string(mark), "binding:host_id": .string(host),
            "device_owner": .string("compute:" + (instance.object["availability_zone"]?.stringValue ?? "nova")),
        ]
        if let id = arguments["port_id"]?.stringValue {
            guard InstanceUUID(id) != nil, let port = try await network.port(id) else {
                throw NovaFault.portNotFound(id)
            }
            let owner = port["device_id"]?.stringValue ?? ""
            guard owner.isEmpty || owner == mark else { throw NovaFault.portInUse(id) }
            return try await network.update(id, wanted)
        }
        let id = try await wantedNetwork(arguments, instance, network)
        let address = arguments["requested_ip"]?.stringValue
        wanted["network_id"] = .string(id)
        wanted["tenant_id"] = instance.object["project_id"] ?? .null
        wanted["admin_state_up"] = true
        if let address { wanted["fixed_ips"] = [["ip_address": .string(address)]] }
        do {
            return try await network.create(wanted, besides: [])
        } catch {
            switch error.code {
            case .notFound: throw NovaFault.networkNotFound(id)
            case .conflict where error.message.contains("uota"): throw NovaFault.portLimit
            case .conflict:
                throw address.map { NovaFault.addressInUse($0, instance.uuid) } ?? NovaFault.noAddress(id)
            default: throw error
            }
        }
    }

    private func wantedNetwork(
        _ arguments: NovaArguments,
        _ instance: NovaInstance,
        _ network: NetworkClient
    ) async throws -> String {
        if let id = arguments["network_id"]?.stringValue {
            guard InstanceUUID(id) != nil, try await network.network(id) != nil else {
                throw NovaFault.networkNotFound(id)
            }
            return id
        }
        let project = instance.object["project_id"]?.stringValue ?? ""
        let all = try await openNetworks(project, network)
        guard all.count <= 1 else { throw NovaFault.ambiguousNetwork }
        guard let id = all.first?["id"]?.stringValue else { throw NovaFault.noNetwork(project) }
        return id
    }

    /// Gives back or removes what a request has made its own and not brought to an end. A port that cannot be released
    /// now stays under the request's name until the network service is back.
    private func undoAttach(_ arguments: NovaArguments, _ instance: NovaInstance) async {
        guard let network = cloud.network else { return }
        do {
            for port in try await network.ports(of: mark(arguments)) {
                guard let id = port["id"]?.stringValue else { continue }
                await unplug(id, instance, arguments.context)
                if arguments["port_id"] == nil { try await network.delete(id) } else { try await network.release(id) }
            }
        } catch {
            let given = arguments["port_id"]?.stringValue
            await keepLeftPorts(of: mark(arguments), instance, given: given.map { [$0] } ?? [])
            logger.error(
                "port of a failed request not released",
                metadata: ["instance": "\(instance.uuid)", "device_id": "\(mark(arguments))", "error": "\(error)"]
            )
        }
    }

    /// Takes an interface out of the machine and out of what is written down.
    private func unplug(_ id: String, _ instance: NovaInstance, _ context: JSONObject) async {
        do {
            if let uuid = InstanceUUID(instance.uuid), try await operations.presentInfo(uuid) != nil {
                try await operations.detachInterface(uuid, id: id, OperationContext())
            }
            try await conductor?.dropInterface(id, context: context)
            _ = try await cloud.refreshes.lane(instance.uuid).run {
                try await replace(id, by: nil, instance, context)
            }
        } catch {
            logger.error(
                "interface of a failed request not detached",
                metadata: ["instance": "\(instance.uuid)", "port": "\(id)", "error": "\(error)"]
            )
        }
    }

    // MARK: - Detach

    private func detachInterface(_ arguments: NovaArguments, _ instance: NovaInstance) async throws -> JSONValue {
        guard let network = cloud.network else {
            throw OperationError.notImplemented("detach_interface needs a network service, and host \(host) has none")
        }
        let id = try arguments.string("port_id")
        // What came with the request may be older than the last change.
        let present = try await conductor?.instance(instance.uuid, context: arguments.context) ?? instance
        guard let vif = try present.networkInfo().first(where: { $0["id"]?.stringValue == id }) else {
            throw NovaFault.portNotAttached(id)
        }
        do {
            try await operations.detachInterface(try uuid(instance), id: id, arguments.operation)
            try await cloud.refreshes.lane(instance.uuid).run {
                let port = try await network.port(id)
                if port?["device_id"]?.stringValue == instance.uuid {
                    if vif["preserve_on_delete"]?.boolValue == true {
                        try await network.release(id)
                    } else {
                        try await network.delete(id)
                    }
                }
                try await conductor?.dropInterface(id, context: arguments.context)
                try await replace(id, by: nil, instance, arguments.context)
            }
        } catch let error as OpenStackError {
            throw NovaFault.detachFailed(instance.uuid, error.message)
        } catch let error as OperationError where error.code != .instanceNotFound {
            throw NovaFault.detachFailed(instance.uuid, error.message)
        }
        return .null
    }

    /// Writes down one interface of an instance anew, or that it is gone. In the instance's lane only.
    ///
    /// - Returns: whether that was not written down already.
    @discardableResult
    func replace(
        _ id: String,
        by vif: JSONValue?,
        _ instance: NovaInstance,
        _ context: JSONObject
    ) async throws -> Bool {
        guard let conductor, let present = try await conductor.instance(instance.uuid, context: context) else {
            return false
        }
        let before = try present.networkInfo()
        var interfaces = before.filter { $0["id"]?.stringValue != id }
        if let vif { interfaces.append(vif) }
        guard interfaces != before else { return false }
        try await conductor.saveNetworkInfo(interfaces, of: instance, context: context)
        return true
    }

    // MARK: - After a crash

    /// Whether the request has made a port its own and got no further.
    func isAttaching(_ arguments: NovaArguments) async throws -> Bool {
        guard let network = cloud.network else { return false }
        return try await !network.ports(of: mark(arguments)).isEmpty
    }

    /// The interface of a port as it is written down; `nil` when it is not the instance's.
    func interface(_ port: String, of instance: NovaInstance, _ context: JSONObject) async throws -> JSONValue? {
        let present = try await conductor?.instance(instance.uuid, context: context)
        return try (present ?? instance).networkInfo().first { $0["id"]?.stringValue == port }
    }
}
