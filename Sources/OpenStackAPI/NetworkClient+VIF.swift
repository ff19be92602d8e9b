package import Support

/// Nova's description of an instance's interfaces, made of what the network service says (Nova's compute RPC,
/// section 5.2).
extension NetworkClient {
    /// Characters of an identifier that names of devices and bridges have room for.
    private static let shortID = 11

    /// The VIFs of ports, in their order.
    ///
    /// - Parameter given: the ports that users have made, which stay when the instance is deleted.
    package func interfaces(
        _ ports: [JSONObject],
        given: Set<String>
    ) async throws(OpenStackError) -> [JSONValue] {
        var networks: [String: JSONObject] = [:]
        var subnets: [String: [JSONObject]] = [:]
        var interfaces: [JSONValue] = []
        for port in ports {
            guard let id = port["id"]?.stringValue, let networkID = port["network_id"]?.stringValue else { continue }
            if networks[networkID] == nil {
                networks[networkID] = try await network(networkID) ?? [:]
                subnets[networkID] = try await list("subnets", ["network_id": networkID])
            }
            let floating = try await floatingAddresses(id)
            interfaces.append(
                Self.interface(
                    port,
                    id,
                    Self.network(networkID, networks[networkID] ?? [:], subnets[networkID] ?? [], port, floating),
                    isGiven: given.contains(id)
                )
            )
        }
        return interfaces
    }

    /// Addresses from outside, by the fixed address they lead to. Services without routers know none.
    private func floatingAddresses(_ port: String) async throws(OpenStackError) -> [String: [String]] {
        let path = "/v2.0/floatingips?port_id=\(port)"
        let answer = try await service.send("GET", path, accepting: [400, 404])
        var addresses: [String: [String]] = [:]
        for entry in answer.body["floatingips"]?.arrayValue ?? [] {
            guard let fixed = entry["fixed_ip_address"]?.stringValue,
                let floating = entry["floating_ip_address"]?.stringValue
            else { continue }
            addresses[fixed, default: []].append(floating)
        }
        return addresses
    }

    private static func interface(
        _ port: JSONObject,
        _ id: String,
        _ network: JSONObject,
        isGiven: Bool
    ) -> JSONValue {
        let details = port["binding:vif_details"] ?? .object([:])
        let type = port["binding:vif_type"] ?? .null
        var network = network
        let networkID = network["id"]?.stringValue ?? ""
        network["bridge"] =
            switch (type, details["bridge_name"]) {
            case (_, .some(let name)) where !name.isNull: name
            case ("ovs", _): "br-int"
            case ("bridge", _): .string("brq" + networkID.prefix(shortID))
            default: .null
            }
        let isOVS = type == "ovs"
        return [
            "id": .string(id), "address": port["mac_address"] ?? .null, "network": .object(network), "type": type,
            "details": details.isNull ? .object([:]) : details, "devname": .string("tap" + id.prefix(shortID)),
            "ovs_interfaceid": isOVS ? .string(id) : .null, "qbh_params": .null, "qbg_params": .null,
            "active": .bool(port["status"] == "ACTIVE"), "vnic_type": port["binding:vnic_type"] ?? "normal",
            "profile": port["binding:profile"] ?? .object([:]), "preserve_on_delete": .bool(isGiven),
            "delegate_create": true, "meta": .object([:]),
        ]
    }

    private static func network(
        _ id: String,
        _ network: JSONObject,
        _ subnets: [JSONObject],
        _ port: JSONObject,
        _ floating: [String: [String]]
    ) -> JSONObject {
        var meta: JSONObject = [
            "injected": false, "tenant_id": network["tenant_id"] ?? network["project_id"] ?? .null,
        ]
        if let unit = network["mtu"] { meta["mtu"] = unit }
        if let physical = network["provider:physical_network"], !physical.isNull {
            meta["physical_network"] = physical
        }
        if let kind = network["provider:network_type"]?.stringValue {
            meta["tunneled"] = .bool(["vxlan", "gre", "geneve"].contains(kind))
        }
        var fixed: [String: [String]] = [:]
        for entry in port["fixed_ips"]?.arrayValue ?? [] {
            guard let subnet = entry["subnet_id"]?.stringValue, let text = entry["ip_address"]?.stringValue else {
                continue
            }
            fixed[subnet, default: []].append(text)
        }
        let used = subnets.compactMap { subnet -> JSONValue? in
            guard let addresses = fixed[subnet["id"]?.stringValue ?? ""] else { return nil }
            return self.subnet(subnet, addresses, floating)
        }
        return [
            "id": .string(id), "bridge": .null, "label": network["name"] ?? "", "subnets": .array(used),
            "meta": .object(meta),
        ]
    }

    private static func subnet(
        _ subnet: JSONObject,
        _ addresses: [String],
        _ floating: [String: [String]]
    ) -> JSONValue {
        let routes = subnet["host_routes"]?.arrayValue ?? []
        return [
            "cidr": subnet["cidr"] ?? .null, "version": subnet["ip_version"] ?? 4, "meta": .object([:]),
            "gateway": subnet["gateway_ip"]?.stringValue.map { address($0, "gateway") } ?? [
                "address": .null, "type": "gateway", "version": .null, "meta": .object([:]),
            ],
            "dns": .array(
                (subnet["dns_nameservers"]?.arrayValue ?? []).compactMap(\.stringValue).map { address($0, "dns") }
            ),
            "routes": .array(
                routes.map { route in
                    [
                        "cidr": route["destination"] ?? .null, "interface": .null, "meta": .object([:]),
                        "gateway": address(route["nexthop"]?.stringValue ?? "", "gateway"),
                    ]
                }
            ),
            "ips": .array(
                addresses.map { text in
                    var address = self.address(text, "fixed").objectValue ?? [:]
                    address["floating_ips"] = .array((floating[text] ?? []).map { self.address($0, "floating") })
                    return .object(address)
                }
            ),
        ]
    }

    private static func address(_ text: String, _ type: String) -> JSONValue {
        [
            "address": .string(text), "type": .string(type), "version": text.contains(":") ? 6 : 4,
            "meta": .object([:]),
        ]
    }
}
