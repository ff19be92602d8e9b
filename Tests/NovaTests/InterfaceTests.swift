import Support
import TestSupport
import Testing

/// Interfaces that instances get and lose, with ports of a network service and Nova's own conductor.
@Suite(.needsBroker, .needsNova, .serialized, .timeLimit(.minutes(15)))
struct InterfaceTests {
    private static let given = "3c9b8a7e-0000-4000-8000-00000000abcd"
    private static let ports = "/network/v2.0/ports"

    /// A port as a user makes one.
    private static func putPort(_ cloud: CloudServer, owner: String = "") async throws {
        try await cloud.put(
            "port",
            given,
            [
                "id": .string(given), "network_id": .string(CloudTests.network), "mac_address": "fa:16:3e:11:22:33",
                "device_id": .string(owner), "device_owner": "", "status": "DOWN", "binding:vnic_type": "normal",
                "fixed_ips": [["subnet_id": .string(CloudTests.subnet), "ip_address": "10.0.0.77"]],
            ]
        )
    }

    static func arguments(
        network: String? = nil,
        port: String? = nil,
        address: String? = nil,
        tag: String? = nil
    ) -> JSONObject {
        [
            "network_id": network.map(JSONValue.string) ?? .null, "port_id": port.map(JSONValue.string) ?? .null,
            "requested_ip": address.map(JSONValue.string) ?? .null, "tag": tag.map(JSONValue.string) ?? .null,
        ]
    }

    private static func stop(_ nova: ControlPlane, _ uuid: String) async throws {
        try await nova.ask("begin", ["uuid": .string(uuid), "task_state": "powering-off"])
        try await nova.compute("stop_instance", uuid, ["clean_shutdown": false])
        try await nova.wait(uuid, "stopped")
    }

    /// The ports that are written down, in their order.
    private static func shown(_ nova: ControlPlane, _ uuid: String) async throws -> [String] {
        try await nova.show(uuid)["network"]?.arrayValue?.compactMap { $0["id"]?.stringValue } ?? []
    }

    private static func recorded(_ nova: ControlPlane, _ uuid: String) async throws -> [String] {
        let devices = try await nova.ask("devices", ["uuid": .string(uuid)])
        return devices["interfaces"]?.arrayValue?.compactMap { $0["port"]?.stringValue } ?? []
    }

    /// Simulated hosts, and QEMU where it is installed.
    private static let kinds: [[String: [String: String]]] = QEMUProgram.isInstalled ? [[:], real] : [[:]]
    private static let real = [
        "DEFAULT": ["backend": "qemu", "resume_guests_state_on_host_boot": "false"],
        "qemu": ["acceleration": "tcg", "machine_type": "pc", "disk_bus": "ide", "network": "user"],
    ]

    @Test(arguments: kinds) func portsComeAndGo(options: [String: [String: String]]) async throws {
        try await CloudTests.run(options) { nova, cloud in
            let uuid = try await CloudTests.build(nova, cloud, [["network_id": .string(CloudTests.network)]])
            try await nova.wait(uuid, "active")
            let first = try #require(try await Self.shown(nova, uuid).first)
            // A port that is made, while the machine runs.
            let answer = try await nova.compute(
                "attach_interface",
                uuid,
                Self.arguments(network: CloudTests.network),
                action: "attach_interface"
            )
            let made = try #require(answer["result"]?["id"]?.stringValue)
            #expect(answer["result"]?["address"]?.stringValue?.hasPrefix("fa:16:3e") == true)
            #expect(answer["result"]?["preserve_on_delete"] == false)
            #expect(try await Self.shown(nova, uuid) == [first, made])
            #expect(try await Self.recorded(nova, uuid) == [made])
            let port = try await cloud.state("port")[made]
            #expect(port?["device_id"]?.stringValue == uuid)
            #expect(port?["device_owner"] == "compute:nova")
            #expect(port?["binding:host_id"] == "host-a")
            // A user's own, while it is off.
            try await Self.stop(nova, uuid)
            try await Self.putPort(cloud)
            let own = try await nova.compute("attach_interface", uuid, Self.arguments(port: Self.given))
            #expect(own["result"]?["preserve_on_delete"] == true)
            #expect(try await Self.shown(nova, uuid) == [first, made, Self.given])
            #expect(
                try await nova.failure("attach_interface", uuid, Self.arguments(port: Self.given))?.className
                    == "PortInUse"
            )
            // Both leave, as they came.
            for port in [Self.given, made] {
                try await nova.compute("detach_interface", uuid, ["port_id": .string(port)], action: "detach_interface")
            }
            try await eventually(timeout: .seconds(120), "only the first port is left") {
                let shown = try await Self.shown(nova, uuid)
                let recorded = try await Self.recorded(nova, uuid)
                return shown == [first] && recorded.isEmpty
            }
            #expect(Set(try await cloud.state("port").keys) == [first, Self.given])
            #expect(try await cloud.state("port")[Self.given]?["device_id"] == "")
            let shown = try await nova.show(uuid)
            #expect(shown["vm_state"] == "stopped")
            #expect(shown["task_state"]?.isNull == true)
            let events = shown["events"]?.arrayValue ?? []
            #expect(events.contains { $0["event"] == "compute_attach_interface" && $0["result"] == "Success" })
            // The refused one is the only fault.
            #expect(shown["faults"]?.arrayValue?.count == 1)
            // A guest without a system does not give up what its machine has while it runs.
            let isReal = !options.isEmpty
            if isReal { try await Self.loses(first, nova, cloud, uuid) }
            // The machine starts without what it has lost.
            try await nova.ask("begin", ["uuid": .string(uuid), "task_state": "powering-on"])
            try await nova.compute("start_instance", uuid)
            try await nova.wait(uuid, "active")
            if !isReal { try await Self.loses(first, nova, cloud, uuid) }
            try await CloudTests.delete(nova, uuid)
            #expect(try await cloud.state("port").map(\.key) == [Self.given])
        }
    }

    /// Somebody deletes the port at the network service, which tells of it.
    private static func loses(_ port: String, _ nova: ControlPlane, _ cloud: CloudServer, _ uuid: String) async throws {
        try await cloud.put("port", port, .null)
        let requests = try await cloud.count("DELETE", ports)
        // Another one's is nothing to this one.
        for id in [given, port] {
            let event: JSONObject = [
                "uuid": .string(uuid), "port": .string(id), "status": "completed", "name": "network-vif-deleted",
            ]
            try await nova.ask("event", event)
        }
        try await nova.daemon.waitForLog("port was deleted, its interface is detached")
        try await eventually(timeout: .seconds(120), "no interface is written down") {
            let shown = try await shown(nova, uuid)
            let recorded = try await recorded(nova, uuid)
            return shown.isEmpty && recorded.isEmpty
        }
        #expect(try await cloud.count("DELETE", ports) == requests)
        #expect(!nova.daemon.log.contains("interface of a deleted port not detached"))
        let faults = try await nova.show(uuid)["faults"]?.arrayValue?.count
        #expect(faults == 1)
    }

    @Test func refusalsLeaveNothingAndACrashLosesNothing() async throws {
        let options = ["simulated": ["fault_attach_interface": "first:1 internal"]]
        try await CloudTests.run(options) { nova, cloud in
            let uuid = try await CloudTests.build(nova, cloud, [["network_id": .string(CloudTests.network)]])
            try await nova.wait(uuid, "active")
            try await Self.refusals(nova, cloud, uuid)
            try await cloud.put("port", Self.given, .null)
            try await Self.crash(nova, cloud, uuid)
            try await CloudTests.delete(nova, uuid)
            #expect(try await cloud.state("port").isEmpty)
        }
    }

    private static func refusals(_ nova: ControlPlane, _ cloud: CloudServer, _ uuid: String) async throws {
        let before = try await Self.shown(nova, uuid)
        let nobody = "3c9b8a7e-0000-4000-8000-000000000000"
        try await Self.putPort(cloud, owner: nobody)
        for (arguments, name) in [
            // The host's, which is the only one that gets as far as that.
            (Self.arguments(network: CloudTests.network), "InterfaceAttachFailed"),
            (Self.arguments(port: nobody), "PortNotFound"), (Self.arguments(port: Self.given), "PortInUse"),
            (Self.arguments(network: nobody), "NetworkNotFound"),
            (
                Self.arguments(network: CloudTests.network, tag: "one"),
                "NetworkInterfaceTaggedAttachNotSupported"
            ), (Self.arguments(), "InterfaceAttachFailedNoNetwork"),
        ] {
            #expect(try await nova.failure("attach_interface", uuid, arguments)?.className == name)
        }
        for (status, text) in [(409, "FixedIpAlreadyInUse"), (503, "InterfaceAttachFailed")] {
            try await cloud.fail("POST", Self.ports, status: status, count: 100)
            let arguments = Self.arguments(network: CloudTests.network, address: "10.0.0.9")
            #expect(try await nova.failure("attach_interface", uuid, arguments)?.className == text)
            try await cloud.tell("heal")
        }
        // A cast: only the fault tells.
        try await nova.compute("detach_interface", uuid, ["port_id": .string(nobody)])
        try await eventually(timeout: .seconds(120), "the fault") {
            let faults = try await nova.show(uuid)["faults"]?.arrayValue ?? []
            return faults.contains { $0["message"]?.stringValue?.contains("is not attached") == true }
        }
        #expect(try await Self.shown(nova, uuid) == before)
        #expect(try await Self.recorded(nova, uuid).isEmpty)
        #expect(Set(try await cloud.state("port").keys) == Set(before + [Self.given]))
        #expect(try await nova.show(uuid)["vm_state"] == "active")
        let absent = try await nova.create(on: "host-a")
        let arguments = Self.arguments(network: CloudTests.network)
        #expect(try await nova.failure("attach_interface", absent, arguments)?.className == "InstanceNotFound")
        #expect(try await cloud.state("port").count == 2)
    }

    /// The host dies when the port is the request's and the machine has it, but for the last word to the network service.
    private static func crash(_ nova: ControlPlane, _ cloud: CloudServer, _ uuid: String) async throws {
        let first = try #require(try await Self.shown(nova, uuid).first)
        try await cloud.fail("PUT", Self.ports, status: -1, count: 1)
        try await nova.ask(
            "start",
            [
                "method": "attach_interface", "uuid": .string(uuid),
                "args": .object(Self.arguments(network: CloudTests.network)),
            ]
        )
        try await eventually(timeout: .seconds(120), "the last word is on its way") {
            try await cloud.count("PUT", Self.ports) > 0
        }
        let made = try #require(try await cloud.state("port").keys.first { $0 != first })
        #expect(try await cloud.state("port")[made]?["device_id"]?.stringValue?.hasPrefix("vmops-") == true)
        try await nova.daemon.kill()
        try await cloud.tell("release")
        try await nova.daemon.start()
        try await eventually(timeout: .seconds(120), "the port is the instance's") {
            try await cloud.state("port")[made]?["device_id"]?.stringValue == uuid
        }
        #expect(try await Self.shown(nova, uuid) == [first, made])
        #expect(try await Self.recorded(nova, uuid) == [made])
        #expect(try await cloud.state("port").count == 2)
        // The machine has it once: it can lose it.
        try await nova.compute("detach_interface", uuid, ["port_id": .string(made)])
        try await eventually(timeout: .seconds(120), "it is gone") {
            try await cloud.state("port").count == 1
        }
    }

    /// The host dies when the machine has lost an interface, and the network service does not answer; another one is to
    /// follow, a user's own.
    @Test func aCrashOfADetachmentLosesNothing() async throws {
        try await CloudTests.run { nova, cloud in
            let uuid = try await CloudTests.build(nova, cloud, [["network_id": .string(CloudTests.network)]])
            try await nova.wait(uuid, "active")
            let first = try #require(try await Self.shown(nova, uuid).first)
            try await Self.putPort(cloud)
            try await nova.compute("attach_interface", uuid, Self.arguments(network: CloudTests.network))
            try await nova.compute("attach_interface", uuid, Self.arguments(port: Self.given))
            let made = try #require(try await Self.shown(nova, uuid).first { $0 != first && $0 != Self.given })
            try await cloud.fail("DELETE", Self.ports, status: -1)
            for port in [made, Self.given] {
                try await nova.compute("detach_interface", uuid, ["port_id": .string(port)])
                try await eventually(timeout: .seconds(120), "the first is to be removed") {
                    try await cloud.count("DELETE", Self.ports) > 0
                }
            }
            try await nova.daemon.kill()
            #expect(try await Self.shown(nova, uuid).count == 3)
            try await cloud.tell("release")
            try await nova.daemon.start()
            try await eventually(timeout: .seconds(120), "both are gone") {
                let shown = try await Self.shown(nova, uuid)
                let recorded = try await Self.recorded(nova, uuid)
                return shown == [first] && recorded.isEmpty
            }
            let ports = try await cloud.state("port")
            #expect(Set(ports.keys) == [first, Self.given])
            #expect(ports[Self.given]?["device_id"] == "")
            #expect(try await nova.show(uuid)["faults"] == .array([]))
            // The machine has lost it: it can have it anew.
            try await nova.compute("attach_interface", uuid, Self.arguments(port: Self.given))
            #expect(try await Self.shown(nova, uuid) == [first, Self.given])
            try await CloudTests.delete(nova, uuid)
        }
    }
}
