import OpenStackAPI
import Support
import TestSupport
import Testing

@Suite(.timeLimit(.minutes(5))) struct NetworkClientTests {
    private static let network = "5f0d3a11-4d4e-4c0a-8c0d-0d0a8f1f2b3c"
    private static let subnet = "6a0d3a11-4d4e-4c0a-8c0d-0d0a8f1f2b3c"
    private static let instance = "7e1f3a0c-9f5a-4c63-bd5f-0d5b8a7c2e90"

    private static func run(_ body: (CloudServer, NetworkClient) async throws -> Void) async throws {
        try await CloudServer.run { cloud in
            try await cloud.put(
                "network",
                network,
                [
                    "id": .string(network), "name": "private", "mtu": 1450, "tenant_id": "p",
                    "subnets": [.string(subnet)],
                ]
            )
            try await cloud.put(
                "subnet",
                subnet,
                [
                    "id": .string(subnet), "network_id": .string(network), "cidr": "10.0.0.0/24", "ip_version": 4,
                    "gateway_ip": "10.0.0.1", "dns_nameservers": ["9.9.9.9"],
                    "host_routes": [["destination": "10.1.0.0/16", "nexthop": "10.0.0.2"]],
                ]
            )
            try await body(cloud, NetworkClient(try cloud.service("network"), logger: quiet))
        }
    }

    private static func wish(host: String = "host-a") -> JSONObject {
        [
            "network_id": .string(network), "device_id": .string(instance), "device_owner": "compute:nova",
            "binding:host_id": .string(host),
        ]
    }

    @Test func aPortIsMadeOnceWhateverBecomesOfTheAnswer() async throws {
        try await Self.run { cloud, client in
            try await cloud.fail("POST", "/network", status: 0)
            let port = try await client.create(Self.wish(), besides: [])
            #expect(port["binding:vif_type"] == "ovs")
            #expect(try await cloud.state("port").count == 1)
            let id = try #require(port["id"]?.stringValue)
            let other = try await client.create(Self.wish(), besides: [id])
            #expect(other["id"]?.stringValue != id)
            #expect(try await client.ports(of: Self.instance).count == 2)
            try await client.release(id)
            let released = try await client.port(id)
            #expect(released?["device_id"] == "")
            #expect(released?["binding:vif_type"] == "unbound")
            for _ in 0..<2 { try await client.delete(id) }
            #expect(try await client.port(id) == nil)
            try await client.release(id)
        }
    }

    @Test func aPortIsDescribedAsNovaDoes() async throws {
        try await Self.run { _, client in
            let port = try await client.create(Self.wish(), besides: [])
            let id = try #require(port["id"]?.stringValue)
            let interface = try #require(try await client.interfaces([port], given: [id]).first)
            #expect(interface["id"]?.stringValue == id)
            #expect(interface["address"] == port["mac_address"])
            #expect(interface["devname"]?.stringValue == "tap" + id.prefix(11))
            #expect(interface["type"] == "ovs")
            #expect(interface["ovs_interfaceid"]?.stringValue == id)
            #expect(interface["active"] == false)
            #expect(interface["preserve_on_delete"] == true)
            let network = interface["network"]
            #expect(network?["bridge"] == "br-int")
            #expect(network?["label"] == "private")
            #expect(network?["meta"]?["mtu"] == 1450)
            let subnet = network?["subnets"]?.arrayValue?.first
            #expect(subnet?["cidr"] == "10.0.0.0/24")
            #expect(subnet?["gateway"]?["address"] == "10.0.0.1")
            #expect(subnet?["dns"]?.arrayValue?.first?["address"] == "9.9.9.9")
            #expect(subnet?["routes"]?.arrayValue?.first?["gateway"]?["address"] == "10.0.0.2")
            let address = subnet?["ips"]?.arrayValue?.first
            #expect(address?["type"] == "fixed")
            #expect(address?["version"] == 4)
            #expect(address?["floating_ips"] == .array([]))
        }
    }

    @Test func bindingsMoveAPortToAnotherHost() async throws {
        try await Self.run { cloud, client in
            let port = try await client.create(Self.wish(), besides: [])
            let id = try #require(port["id"]?.stringValue)
            try await cloud.put("binding", id, ["host-b"])
            for _ in 0..<2 {
                try await client.activate(id, on: "host-b")
                #expect(try await client.port(id)?["binding:host_id"] == "host-b")
            }
            for _ in 0..<2 { try await client.deleteBinding(id, of: "host-a") }
            #expect(try await cloud.state("binding")[id] == .array([]))
        }
    }
}
