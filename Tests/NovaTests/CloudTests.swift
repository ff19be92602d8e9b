import Foundation
import Support
import TestSupport
import Testing

/// Hosts whose scheduler, images and networks are a cloud's, with a conductor that is Nova's own.
@Suite(.needsBroker, .needsNova, .timeLimit(.minutes(20)))
struct CloudTests {
    static let network = "5f0d3a11-4d4e-4c0a-8c0d-0d0a8f1f2b3c"
    static let subnet = "6a0d3a11-4d4e-4c0a-8c0d-0d0a8f1f2b3c"
    static let imageID = "9d5f0f6e-2c8c-4cbe-9c2a-5a0f7c5f1b11"
    private static let snapshotID = "0b1c7d52-9f0f-4e0e-8a5e-64a1d0f2c3d4"
    // Not kept: the leak detection does not see what a `Data` alone holds.
    private static var content: Data { Data(count: 1 << 16) }

    private static let image: JSONValue = [
        "id": .string(imageID), "name": "tick", "status": "active", "container_format": "bare", "disk_format": "raw",
        "size": .int(Int64(content.count)), "min_ram": 0, "min_disk": 0, "owner": "ops", "properties": .object([:]),
        "checksum": "fcd6bcb56c1689fcef28b57c22475bad", "created_at": "2026-01-15T10:20:30.000000",
        "updated_at": "2026-01-15T10:20:30.000000", "deleted": false, "deleted_at": nil,
    ]

    /// Runs hosts and cloud; `options` go over those of both.
    static func run(
        _ more: [String: [String: String]] = [:],
        release: NovaRelease = .nova34,
        notifications: Bool = false,
        _ body: @escaping @Sendable (ControlPlane, CloudServer) async throws -> Void
    ) async throws {
        try await CloudServer.run { cloud in
            try await cloud.put("image", imageID, ["id": .string(imageID), "status": "active"])
            try await cloud.put("data", imageID, .string(content.base64EncodedString()))
            try await cloud.put(
                "network",
                network,
                ["id": .string(network), "name": "private", "mtu": 1450, "subnets": [.string(subnet)]]
            )
            try await cloud.put(
                "subnet",
                subnet,
                [
                    "id": .string(subnet), "network_id": .string(network), "cidr": "10.0.0.0/24", "ip_version": 4,
                    "gateway_ip": "10.0.0.1",
                ]
            )
            var options = cloud.options
            options["nova"] = ["update_resources_interval": "0.5"]
            for group in ["placement", "neutron", "glance"] {
                options[group]?.merge(["status_code_retries": "1", "connect_retries": "1"]) { $1 }
            }
            for (group, values) in more { options[group, default: [:]].merge(values) { $1 } }
            try await ControlPlane.run(
                release,
                conductor: true,
                service: true,
                notifications: notifications,
                options: options,
                // The SDK that Nova 26 has reads more of a catalogue than these services tell.
                cloud: release == .nova34 ? cloud : nil
            ) { nova in
                try await body(nova, cloud)
            }
        }
    }

    static func node(_ nova: ControlPlane, _ host: String) async throws -> String {
        try #require(try await nova.service(host).node?["uuid"]?.stringValue)
    }

    /// What the scheduler does before a host is asked.
    private static func claim(
        _ nova: ControlPlane,
        _ cloud: CloudServer,
        _ uuid: String,
        on host: String
    ) async throws {
        let node = try await node(nova, host)
        try await eventually(timeout: .seconds(120), "the provider is there") {
            try await cloud.state("provider")[node]?["traits"]?.arrayValue?.isEmpty == false
        }
        try await cloud.put(
            "allocation",
            uuid,
            ["generation": 1, "allocations": .object([node: ["resources": ["VCPU": 1]]])]
        )
    }

    static func build(
        _ nova: ControlPlane,
        _ cloud: CloudServer,
        _ networks: [JSONValue],
        _ more: JSONObject = [:],
        on host: String = "host-a",
        alternates: [String] = [],
        retries: Bool = true
    ) async throws -> String {
        var fields = more
        fields["image"] = image
        let uuid = try await nova.create(on: nil, fields)
        try await claim(nova, cloud, uuid, on: host)
        try await nova.ask(
            "build",
            [
                "uuid": .string(uuid), "host": .string(host), "image": image, "networks": .array(networks),
                "alternates": .array(alternates.map(JSONValue.string)), "retry": .bool(retries),
            ]
        )
        return uuid
    }

    static func delete(_ nova: ControlPlane, _ uuid: String) async throws {
        try await nova.ask("begin", ["uuid": .string(uuid), "task_state": "deleting"])
        try await nova.compute("terminate_instance", uuid, ["bdms": .array([])], action: "delete")
        try await eventually(timeout: .seconds(120), "the record is deleted") {
            try await nova.show(uuid)["deleted"] == true
        }
    }

    @Test func anInstanceHasItsImageItsPortsAndItsShareAndLeavesNothing() async throws {
        try await Self.run { nova, cloud in
            let given = "3c9b8a7e-0000-4000-8000-00000000abcd"
            try await cloud.put(
                "port",
                given,
                [
                    "id": .string(given), "network_id": .string(Self.network), "mac_address": "fa:16:3e:11:22:33",
                    "device_id": "", "device_owner": "", "status": "DOWN", "binding:vnic_type": "normal",
                    "fixed_ips": [["subnet_id": .string(Self.subnet), "ip_address": "10.0.0.77"]],
                ]
            )
            let uuid = try await Self.build(
                nova,
                cloud,
                [["port_id": .string(given)], ["network_id": .string(Self.network)]]
            )
            let shown = try await nova.wait(uuid, "active")
            let interfaces = shown["network"]?.arrayValue ?? []
            #expect(interfaces.count == 2)
            #expect(interfaces.first?["addresses"] == ["10.0.0.77"])
            #expect(interfaces.map { $0["own"] } == [true, false])
            let ports = try await cloud.state("port")
            #expect(ports.allSatisfy { $0.value["device_id"]?.stringValue == uuid })
            #expect(ports.allSatisfy { $0.value["binding:host_id"] == "host-a" })
            #expect(try await cloud.count("GET", "/image/v2/images/\(Self.imageID)/file") == 1)

            let node = try await Self.node(nova, "host-a")
            let provider = try #require(try await cloud.state("provider")[node])
            #expect(provider["name"] == "host-a")
            #expect(provider["inventories"]?["MEMORY_MB"]?["reserved"] == 512)
            #expect(provider["inventories"]?["VCPU"]?["total"] == 64)
            #expect(provider["traits"]?.arrayValue?.contains("OWNER_NOVA") == true)
            try await nova.compute("set_host_enabled", nil, ["host": "host-a", "enabled": false])
            let disabled = try await cloud.state("provider")[node]
            #expect(disabled?["traits"]?.arrayValue?.contains("COMPUTE_STATUS_DISABLED") == true)

            try await Self.snapshot(nova, cloud, uuid)
            try await Self.delete(nova, uuid)
            #expect(try await cloud.state("allocation").isEmpty)
            let left = try await cloud.state("port")
            #expect(left.count == 1)
            #expect(left[given]?["device_id"] == "")
            #expect(left[given]?["binding:host_id"] == "")
        }
    }

    private static func snapshot(_ nova: ControlPlane, _ cloud: CloudServer, _ uuid: String) async throws {
        try await cloud.put("image", snapshotID, ["id": .string(snapshotID), "status": "queued"])
        try await nova.ask("begin", ["uuid": .string(uuid), "task_state": "image_snapshot_pending"])
        try await nova.compute("snapshot_instance", uuid, ["image_id": .string(snapshotID)], action: "createImage")
        try await nova.wait(uuid, "active")
        #expect(try await cloud.state("image")[snapshotID]?["status"] == "active")
        #expect((try await cloud.state("image")[snapshotID]?["size"]?.intValue ?? 0) > 0)
        #expect(try await nova.show(uuid)["faults"] == .array([]))
        // One that comes to nothing leaves no record that users would wait for.
        try await cloud.put("image", snapshotID, ["id": .string(snapshotID), "status": "queued"])
        try await cloud.fail("PUT", "/image", status: 413)
        try await nova.ask("begin", ["uuid": .string(uuid), "task_state": "image_snapshot_pending"])
        try await nova.compute("snapshot_instance", uuid, ["image_id": .string(snapshotID)], action: "createImage")
        try await nova.wait(uuid, "active")
        #expect(try await cloud.state("image")[snapshotID] == nil)
        // What users are told is written after the state.
        try await eventually(timeout: .seconds(120), "a fault") {
            try await nova.show(uuid)["faults"]?.arrayValue?.count == 1
        }
    }

    @Test func outagesEndInTheRightStateAndNothingLeaks() async throws {
        try await Self.run { nova, cloud in
            // No port.
            try await cloud.fail("POST", "/network", status: 503, count: 100)
            let portless = try await Self.build(nova, cloud, [["network_id": .string(Self.network)]])
            try await nova.wait(portless, "error")
            #expect(try await nova.show(portless)["host"]?.isNull == true)
            try await cloud.tell("heal")
            // No image, after the port was made.
            try await cloud.fail("GET", "/image", status: 404, count: 100)
            let imageless = try await Self.build(nova, cloud, [["network_id": .string(Self.network)]])
            try await nova.wait(imageless, "error")
            try await cloud.tell("heal")
            #expect(try await cloud.state("port").isEmpty)
            #expect(try await cloud.state("allocation").isEmpty)
            // Placement is away when the instance is deleted.
            let uuid = try await Self.build(nova, cloud, [["network_id": .string(Self.network)]])
            try await nova.wait(uuid, "active")
            try await cloud.fail("DELETE", "/placement", status: 503, count: 100)
            try await Self.delete(nova, uuid)
            #expect(try await cloud.state("port").isEmpty)
            #expect(try await cloud.state("allocation")[uuid] != nil)
            try await cloud.tell("heal")
            try await eventually(timeout: .seconds(120), "the allocation is found and freed") {
                try await cloud.state("allocation").isEmpty
            }
        }
    }

    /// The network service is away when a boot comes to nothing, and the daemon ends before it is back.
    @Test func portsThatWereLeftAreReleasedLater() async throws {
        try await Self.run(["simulated": ["fault_create_disk": "always internal"]]) { nova, cloud in
            let (given, foreign) = ("3c9b8a7e-0000-4000-8000-00000000abcd", "3c9b8a7e-0000-4000-8000-00000000abce")
            try await cloud.put("port", given, Self.port(given, device: ""))
            try await cloud.put("port", foreign, Self.port(foreign, device: "3c9b8a7e-0000-4000-8000-000000000001"))
            try await cloud.fail("GET", "/image", status: -1)
            let networks: [JSONValue] = [["port_id": .string(given)], ["network_id": .string(Self.network)]]
            let uuid = try await Self.build(nova, cloud, networks)
            try await eventually(timeout: .seconds(120), "the image is asked for") {
                try await cloud.count("GET", "/image") > 0
            }
            for method in ["PUT", "DELETE"] {
                try await cloud.fail(method, "/network/v2.0/ports", status: 503, count: 1000)
            }
            try await cloud.tell("release")
            try await nova.wait(uuid, "error")
            let ports = try await cloud.state("port")
            #expect(ports[given]?["device_id"]?.stringValue == uuid)
            #expect(ports.count == 3)
            // What is bound to another host by then is that one's.
            let elsewhere = "3c9b8a7e-0000-4000-8000-00000000abcf"
            try await cloud.put("port", elsewhere, Self.port(elsewhere, device: uuid, host: "host-b"))
            try await nova.daemon.kill()
            try await cloud.tell("heal")
            try await nova.restart(only: ["host-a", "host-b"])
            try await eventually(timeout: .seconds(120), "the port that was made is gone, the user's is free") {
                let left = try await cloud.state("port")
                return left.count == 3 && left[given]?["device_id"] == ""
            }
            let left = try await cloud.state("port")
            #expect(Set(left.keys) == [given, foreign, elsewhere])
            #expect(left[foreign] == ports[foreign])
            #expect(left[elsewhere]?["device_id"]?.stringValue == uuid)
            let notes = nova.daemon.statePath + "/host-a/left_ports"
            try await eventually(timeout: .seconds(120), "the note is gone") {
                try FileManager.default.contentsOfDirectory(atPath: notes).isEmpty
            }
            #expect(try await nova.show(uuid)["network"] == .array([]))
        }
    }

    private static func port(_ id: String, device: String, host: String = "host-a") -> JSONValue {
        [
            "id": .string(id), "network_id": .string(network), "mac_address": "fa:16:3e:11:22:33",
            "device_id": .string(device), "device_owner": .string(device.isEmpty ? "" : "compute:nova"),
            "status": "DOWN", "binding:vnic_type": "normal",
            "binding:host_id": .string(device.isEmpty ? "" : host),
            "fixed_ips": [["subnet_id": .string(subnet), "ip_address": "10.0.0.77"]],
        ]
    }

    @Test func portsAndSharesGoWithAMigration() async throws {
        try await Self.run { nova, cloud in
            let uuid = try await Self.build(nova, cloud, [["network_id": .string(Self.network)]])
            try await nova.wait(uuid, "active")
            let port = try #require(try await cloud.state("port").first?.key)
            // The conductor's part, which this one leaves out.
            try await cloud.put("binding", port, ["host-b"])
            let answer = try await nova.ask("migrate", ["uuid": .string(uuid), "dest": "host-b"])
            let number = try #require(answer["migration"]?.intValue)
            try await eventually(timeout: .seconds(120), "the migration is completed") {
                try await nova.show(uuid, migration: number)["migration"] == "completed"
            }
            #expect(try await nova.wait(uuid, "active")["host"] == "host-b")
            try await eventually(timeout: .seconds(120), "the port is the destination's") {
                let bindings = try await cloud.state("binding")[port]
                let host = try await cloud.state("port")[port]?["binding:host_id"]
                return bindings == .array([]) && host == "host-b"
            }
            try await Self.delete(nova, uuid)
            #expect(try await cloud.state("port").isEmpty)
        }
    }

    @Test func portsAndSharesGoWithAnEvacuation() async throws {
        try await Self.run { nova, cloud in
            let uuid = try await Self.build(nova, cloud, [["network_id": .string(Self.network)]])
            try await nova.wait(uuid, "active")
            let port = try #require(try await cloud.state("port").first?.key)
            let (old, new) = (try await Self.node(nova, "host-a"), try await Self.node(nova, "host-b"))
            // The scheduler's part, which this control plane leaves out: the old host's share stays until it is back.
            let both = JSONObject([old, new].map { ($0, ["resources": ["VCPU": 1]]) })
            try await nova.restart(only: ["host-b"])
            for isFirst in [true, false] {
                try await cloud.put("allocation", uuid, ["generation": 1, "allocations": .object(both)])
                if isFirst { try await cloud.fail("PUT", "/network/v2.0/ports", status: 503, count: 100) }
                let number = try await nova.evacuate(uuid, to: "host-b")
                try await nova.wait(uuid, migration: number, is: isFirst ? "failed" : "done")
                let shown = try await nova.wait(uuid, isFirst ? "error" : "active")
                let host = isFirst ? "host-a" : "host-b"
                #expect(shown["host"]?.stringValue == host)
                #expect(try await cloud.state("port")[port]?["binding:host_id"]?.stringValue == host)
                let held = try await cloud.state("allocation")[uuid]?["allocations"]?.objectValue?.map(\.key)
                #expect(Set(held ?? []) == (isFirst ? [old] : [old, new]))
                #expect(shown["network"]?.arrayValue?.count == 1)
                if isFirst { try await cloud.tell("heal") }
                guard !isFirst else { continue }
                try await nova.restart(only: ["host-a", "host-b"])
                try await nova.wait(uuid, migration: number, is: "completed")
            }
            #expect(!nova.hasFiles(uuid, "host-a") && nova.hasFiles(uuid, "host-b"))
            let left = try await cloud.state("allocation")[uuid]?["allocations"]?.objectValue?.map(\.key)
            #expect(left == [new])
            try await Self.delete(nova, uuid)
            #expect(try await cloud.state("port").isEmpty)
            #expect(try await cloud.state("allocation").isEmpty)
            #expect(!nova.hasFiles(uuid, "host-b"))
        }
    }
}
