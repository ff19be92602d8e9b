import ComputeRPC
import Logging
import NovaObjects
import OpenStackAPI
import OsloMessaging
import Support
import VMOps

/// The ports of instances (Nova's compute RPC, section 5.2).
extension NovaMethods {
    /// One entry of `requested_networks`.
    private struct Wish {
        var network: String?
        var port: String?
        var address: String?
    }

    // MARK: - Boot

    /// Makes and binds the ports that are asked for, and writes down what they are. May be repeated.
    ///
    /// - Returns: the VIFs; `nil` when ports are not this host's business.
    func allocateNetworks(_ arguments: NovaArguments, _ instance: NovaInstance) async throws -> [JSONValue]? {
        guard let network = cloud.network else { return nil }
        let wishes = try await wishes(arguments, instance, network)
        guard let wishes, !wishes.isEmpty else { return [] }
        let given = Set(wishes.compactMap(\.port))
        let groups = try await securityGroups(arguments, instance, network)
        var ports: [JSONObject] = []
        var used = given
        for wish in wishes {
            let port: JSONObject
            if let id = wish.port {
                port = try await network.update(id, owned(instance))
            } else {
                var wanted = owned(instance)
                wanted["network_id"] = wish.network.map(JSONValue.string) ?? .null
                wanted["tenant_id"] = instance.object["project_id"] ?? .null
                wanted["admin_state_up"] = true
                if let address = wish.address { wanted["fixed_ips"] = [["ip_address": .string(address)]] }
                if !groups.isEmpty { wanted["security_groups"] = .array(groups.map(JSONValue.string)) }
                port = try await takeOver(try await network.create(wanted, besides: used), instance, network)
            }
            if let id = port["id"]?.stringValue { used.insert(id) }
            guard port["binding:vif_type"] != "binding_failed" else {
                throw Self.bindingFailure(port["id"]?.stringValue ?? "")
            }
            ports.append(port)
        }
        let interfaces = try await network.interfaces(ports, given: given)
        try await conductor?.saveNetworkInfo(interfaces, of: instance, context: arguments.context)
        return interfaces
    }

    /// One that an earlier attempt on another host has left is bound there.
    private func takeOver(
        _ port: JSONObject,
        _ instance: NovaInstance,
        _ network: NetworkClient
    ) async throws -> JSONObject {
        guard let id = port["id"]?.stringValue, port["binding:host_id"]?.stringValue != host else { return port }
        return try await network.update(id, owned(instance))
    }

    static func bindingFailure(_ port: String) -> OperationError {
        OperationError(
            .novaException,
            "Binding failed for port \(port), please check neutron logs for more information.",
            details: ["port_id": port]
        )
    }

    private func owned(_ instance: NovaInstance) -> JSONObject {
        let zone = instance.object["availability_zone"]?.stringValue ?? "nova"
        return [
            "device_id": .string(instance.uuid), "device_owner": .string("compute:\(zone)"),
            "binding:host_id": .string(host),
        ]
    }

    /// - Returns: `nil` when no network is wanted.
    private func wishes(
        _ arguments: NovaArguments,
        _ instance: NovaInstance,
        _ network: NetworkClient
    ) async throws -> [Wish]? {
        var wishes: [Wish] = []
        for request in try arguments.object("requested_networks")?.objects() ?? [] {
            let id = request["network_id"]?.stringValue
            if id == "none" { return nil }
            wishes.append(
                Wish(network: id, port: request["port_id"]?.stringValue, address: request["address"]?.stringValue)
            )
        }
        let isOpen = wishes.isEmpty || (wishes.count == 1 && wishes[0].network == "auto")
        guard isOpen else { return wishes }
        let all = try await openNetworks(instance.object["project_id"]?.stringValue ?? "", network)
        guard all.count <= 1 else { throw NovaFault.ambiguousNetwork }
        return all.map { Wish(network: $0["id"]?.stringValue) }
    }

    /// A project's own networks and those that everybody has, without those of the world outside.
    func openNetworks(_ project: String, _ network: NetworkClient) async throws -> [JSONObject] {
        let own = try await network.list("networks", ["tenant_id": project, "shared": "false"])
        let shared = try await network.list("networks", ["shared": "true"])
        return (own + shared).filter { $0["router:external"] != true }
    }

    /// Identifiers of the groups that are named; none when it is the default one, which ports have anyway.
    private func securityGroups(
        _ arguments: NovaArguments,
        _ instance: NovaInstance,
        _ network: NetworkClient
    ) async throws -> [String] {
        let names = arguments["security_groups"]?.arrayValue?.compactMap(\.stringValue) ?? []
        if names.isEmpty || names == ["default"] { return [] }
        let project = instance.object["project_id"]?.stringValue ?? ""
        let groups = try await network.list("security-groups", ["tenant_id": project])
        return try names.map { name in
            let found =
                groups.first { $0["id"]?.stringValue == name } ?? groups.first { $0["name"]?.stringValue == name }
            guard let id = found?["id"]?.stringValue else {
                throw NovaFault.securityGroupNotFound(name)
            }
            return id
        }
    }

    // MARK: - Delete

    /// Removes the ports that were made for the instance, and gives back those that users had made.
    func releaseNetworks(_ instance: NovaInstance, given: Set<String>, _ context: JSONObject) async throws {
        guard let network = cloud.network else { return }
        let ports = try await network.ports(of: instance.uuid)
        for port in ports {
            guard let id = port["id"]?.stringValue else { continue }
            // Somebody else's business: it has moved on, or never was a machine's.
            guard port["device_owner"]?.stringValue?.hasPrefix("compute:") != false else { continue }
            if given.contains(id) { try await network.release(id) } else { try await network.delete(id) }
        }
        if !ports.isEmpty { try await conductor?.saveNetworkInfo([], of: instance, context: context) }
    }

    /// The ports of an instance that users had made.
    func givenPorts(_ instance: NovaInstance, _ context: JSONObject) async throws -> Set<String> {
        var present: NovaInstance? = instance
        if instance.object["info_cache"] == nil, let conductor {
            present = try await conductor.instance(instance.uuid, context: context)
        }
        let interfaces = try present?.networkInfo() ?? []
        return Set(
            interfaces.filter { $0["preserve_on_delete"]?.boolValue == true }.compactMap { $0["id"]?.stringValue }
        )
    }

    /// What a boot has made that came to nothing. What cannot be released now is when the network service is back, or
    /// the instance is deleted.
    func undoNetworks(_ arguments: NovaArguments, _ instance: NovaInstance) async {
        guard cloud.network != nil else { return }
        let requests = (try? arguments.object("requested_networks")?.objects()) ?? []
        let given = Set(requests.compactMap { $0["port_id"]?.stringValue })
        do {
            try await releaseNetworks(instance, given: given, arguments.context)
        } catch {
            if error is OpenStackError { await keepLeftPorts(of: instance.uuid, instance, given: given) }
            logger.warning("ports not released", metadata: ["instance": "\(instance.uuid)", "error": "\(error)"])
        }
    }

    // MARK: - Migration

    /// Moves the ports to the destination, at the moment of the machine's switch-over.
    func activatePorts(_ instance: NovaInstance, on destination: String) async {
        await eachPort(instance, "port not bound to the destination") { network, port, id throws(OpenStackError) in
            guard port["binding:host_id"]?.stringValue != destination else { return }
            try await network.activate(id, on: destination)
        }
    }

    /// At the destination: the source's bindings go.
    func takePorts(_ instance: NovaInstance, from source: String?, _ context: JSONObject) async {
        let host = host
        await eachPort(instance, "port not taken over") { network, port, id throws(OpenStackError) in
            if port["binding:host_id"]?.stringValue != host { try await network.activate(id, on: host) }
            if let source, source != host { try await network.deleteBinding(id, of: source) }
        }
        await refreshNetworkInfo(instance, context)
    }

    /// At the source, after a migration that failed: the destination's bindings go.
    func dropBindings(_ instance: NovaInstance, of destination: String) async {
        await eachPort(instance, "binding not removed") { network, port, id throws(OpenStackError) in
            guard port["binding:host_id"]?.stringValue != destination else { return }
            try await network.deleteBinding(id, of: destination)
        }
    }

    func eachPort(
        _ instance: NovaInstance,
        _ complaint: Logger.Message,
        _ body: (NetworkClient, JSONObject, String) async throws(OpenStackError) -> Void
    ) async {
        guard let network = cloud.network else { return }
        do {
            for port in try await network.ports(of: instance.uuid) {
                guard let id = port["id"]?.stringValue else { continue }
                try await body(network, port, id)
            }
        } catch {
            logger.error(complaint, metadata: ["instance": "\(instance.uuid)", "error": "\(error)"])
        }
    }

    // MARK: - Changes

    /// Writes down what the instance's ports are now.
    func refreshNetworkInfo(_ instance: NovaInstance, _ context: JSONObject) async {
        guard let network = cloud.network, let conductor else { return }
        do {
            try await cloud.refreshes.lane(instance.uuid).run {
                guard let present = try await conductor.instance(instance.uuid, context: context) else { return }
                let before = try present.networkInfo()
                // Before the boot has written its own, there is nothing to be refreshed.
                if before.isEmpty { return }
                let ports = try await network.ports(of: instance.uuid)
                let interfaces = try await describe(ports, as: before, network)
                guard interfaces != before else { return }
                try await conductor.saveNetworkInfo(interfaces, of: instance, context: context)
            }
        } catch {
            if Task.isCancelled { return }
            logger.warning("network info not saved", metadata: ["instance": "\(instance.uuid)", "error": "\(error)"])
        }
    }

    /// The VIFs of ports, in the order in which they were described before.
    func describe(
        _ ports: [JSONObject],
        as before: [JSONValue],
        _ network: NetworkClient
    ) async throws(OpenStackError) -> [JSONValue] {
        let order = before.compactMap { $0["id"]?.stringValue }
        let given = before.filter { $0["preserve_on_delete"]?.boolValue == true }
        let places = ports.map { port in order.firstIndex { $0 == port["id"]?.stringValue } ?? order.count }
        let sorted = zip(places, ports).sorted { $0.0 < $1.0 }.map(\.1)
        return try await network.interfaces(sorted, given: Set(given.compactMap { $0["id"]?.stringValue }))
    }

    /// `external_instance_event`: the network service tells of changes through the API.
    func external(_ arguments: NovaArguments) async throws {
        guard cloud.network != nil else { return }
        var changed: [String: NovaInstance] = [:]
        let events = arguments["events"]?.arrayValue ?? []
        notePlugged(events)
        for value in arguments["instances"]?.arrayValue ?? [] {
            let instance = try NovaInstance(value)
            guard instance.host == host else { continue }
            for port in Self.deletedPorts(events, of: instance.uuid) {
                await detachDeleted(port, instance, arguments.context)
            }
            if events.contains(where: { Self.isNetworkChange($0, of: instance.uuid) }) {
                changed[instance.uuid] = instance
            }
        }
        for instance in changed.values { await refreshNetworkInfo(instance, arguments.context) }
    }
}
