import Foundation
import HostBackend
import JSONCodec
import OsloMessaging
import SimulatedHost
import Support
import Synchronization
import TestSupport
import Testing
import VMOps

@testable import ComputeRPC

@Suite(.timeLimit(.minutes(5))) struct DriverMethodTests {
    private static let withInstance = [
        "abort_live_migration", "attach_interface", "attach_volume", "console_marks", "console_read",
        "confirm_resize", "console_status", "console_write", "destroy", "detach_interface", "detach_volume",
        "evacuate_instance", "get_console_output", "get_diagnostics", "get_info", "give_up_live_migration",
        "live_migration", "pause", "power_off", "power_on", "reboot", "resize_instance", "resume", "revert_resize",
        "snapshot", "spawn", "suspend", "unpause",
    ]
    private static let withoutInstance = [
        "get_available_resource", "get_capabilities", "get_host_uptime", "list_instance_infos",
        "list_instance_uuids", "list_instances", "list_stored_instances", "ping",
    ]
    /// Beside the instance.
    private static let required: [String: JSONObject] = [
        "attach_interface": ["vif": ["id": "v", "address": "fa:16:3e:00:00:01"]],
        "detach_interface": ["vif": ["id": "v"]],
        "attach_volume": ["connection_info": ["driver_volume_type": "file", "serial": "v"]],
        "detach_volume": ["connection_info": ["driver_volume_type": "file", "serial": "v"]],
        "live_migration": ["dest": "host-b"],
        "console_write": ["data": "DQ=="],
        "snapshot": ["image_id": "snap"],
    ]

    @Test func onlyAllowedMethodsAreThere() async throws {
        try await TestDriver.with { driver in
            let allowed = Mutex<Set<String>>(["ping", "get_info", "no_such_method"])
            let endpoint = DriverEndpoint(
                operations: driver.operations,
                identity: .init(host: "host-a", backend: "simulated", version: "1"),
                allowedMethods: { allowed.withLock { $0 } },
                injectsPasswords: { false }
            )
            let there = endpoint.methodNames.filter { endpoint.method(named: $0) != nil }
            #expect(there == ["get_info", "ping"])
            // A reload changes it.
            allowed.withLock { $0 = ["destroy"] }
            #expect(endpoint.method(named: "ping")?.name == nil)
            #expect(endpoint.method(named: "destroy")?.name == "destroy")
            allowed.withLock { $0 = [] }
            #expect(endpoint.method(named: "ping")?.name == "ping")
        }
    }

    @Test func theseAreTheMethods() async throws {
        try await TestDriver.with { driver in
            let names = driver.endpoint.methodNames
            #expect(names == (Self.withInstance + Self.withoutInstance + DriverMethods.peerMethods).sorted())
            // A method without a schema, or the other way round, is not documented.
            let schemas = try FileManager.default.contentsOfDirectory(
                atPath: "\(checkout)/schemas/methods"
            ).map { $0.replacingOccurrences(of: ".schema.json", with: "") }.filter { $0 != "oslo_rpc_server_ping" }
            #expect(Set(schemas).subtracting(names) == [])
            #expect(Set(names).subtracting(schemas) == [])
            _ = try await driver.call("ping")
        }
    }

    private var checkout: String {
        URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
            .deletingLastPathComponent().path
    }

    @Test(arguments: withInstance)
    func argumentsAreChecked(_ method: String) async throws {
        try await TestDriver.with { driver in
            let missing = try await driver.failure(method, Self.required[method] ?? [:])
            #expect(missing?.className == "TypeError")
            #expect(missing?.module == "builtins")
            #expect(missing?.message == "\(method)() missing 1 required positional argument: 'instance'")
            var args = Self.required[method] ?? [:]
            args["instance"] = .object(TestDriver.instance())
            args["surprise"] = 1
            let unexpected = try await driver.failure(method, args)
            #expect(unexpected?.message == "\(method)() got an unexpected keyword argument 'surprise'")
            args["surprise"] = nil
            for (bad, text) in [
                (JSONValue.int(7), "instance must be an object, not integer"),
                (.null, "instance must be an object, not null"),
                (["uuid": "not-a-uuid", "name": "x"], "instance.uuid is not a UUID"),
                (["uuid": 5, "name": "x"], "instance.uuid must be a string, not integer"),
                (["uuid": "../../etc/passwd"], "instance.uuid is not a UUID"),
                (["nova_object.data": []], "instance must be an object, not array"),
            ] {
                args["instance"] = bad
                let failure = try await driver.failure(method, args)
                #expect(failure?.className == "InvalidInput", "\(method) \(bad)")
                #expect(failure?.message == "Invalid input received: \(text)")
                #expect(failure?.kwargs["code"] == 400)
                #expect(failure?.kwargs["reason"]?.stringValue == text)
            }
            if method == "spawn" || method == "destroy" { return }
            let unknown = TestDriver.instance()
            args["instance"] = .object(unknown)
            let failure = try await driver.failure(method, args)
            #expect(failure?.className == "InstanceNotFound")
            #expect(failure?.module == "nova.exception")
            #expect(failure?.kwargs["instance_id"] == unknown["uuid"])
            #expect(failure?.kwargs["code"] == 404)
        }
    }

    @Test(arguments: withoutInstance)
    func methodsOfTheHostTakeNoArguments(_ method: String) async throws {
        try await TestDriver.with { driver in
            let failure = try await driver.failure(method, ["instance": [:]])
            #expect(failure?.className == "TypeError")
            try await driver.call(method)
        }
    }

    @Test(
        arguments: [
            ("name", "a/b", "has a separator or control character"),
            ("name", "a\\b", "has a separator or control character"),
            ("name", "..", "is not a name"), ("name", "", "is empty"),
            ("name", "a\u{0}b", "has a separator or control character"),
            ("name", "a\u{1B}b", "has a separator or control character"), ("name", 5, "must be a string, not integer"),
            ("memory_mb", 0, "must be from 1 to 16777216"), ("memory_mb", "64", "must be an integer, not string"),
            ("memory_mb", 1.5, "must be an integer, not number"), ("vcpus", -1, "must be from 1 to 4096"),
            ("root_gb", 1_048_577, "must be from 0 to 1048576"), ("ephemeral_gb", -1, "must be from 0 to 1048576"),
            ("config_drive", "perhaps", "must be a boolean, not string"),
            ("metadata", [], "must be an object, not array"),
            ("metadata", ["a": [1]], "must be a string, not array"), ("image_ref", 5, "must be a string, not integer"),
        ] as [(String, JSONValue, String)]
    )
    func aBadFieldOfAnInstanceIsNamed(_ field: String, _ value: JSONValue, _ reason: String) async throws {
        try await TestDriver.with { driver in
            let instance = TestDriver.instance([field: value])
            let failure = try await driver.failure("spawn", ["instance": .object(instance)])
            #expect(failure?.className == "InvalidInput")
            let name = field == "metadata" && value.objectValue != nil ? "metadata.a" : field
            #expect(failure?.message == "Invalid input received: instance.\(name) \(reason)")
            #expect(try await driver.call("list_instances") == [])
        }
    }

    @Test func oversizeValuesAreRefused() async throws {
        try await TestDriver.with { driver in
            let long = JSONValue.string(String(repeating: "x", count: 300))
            let many = JSONValue.array(Array(repeating: ["id": "v", "address": "fa:16:3e:00:00:01"], count: 257))
            let map = JSONValue.object(JSONObject((0...1024).map { ("k\($0)", JSONValue.string("v")) }))
            let name = try await driver.failure("spawn", ["instance": .object(TestDriver.instance(["name": long]))])
            #expect(name?.message == "Invalid input received: instance.name is longer than 255 bytes")
            let metadata = try await driver.failure(
                "spawn",
                ["instance": .object(TestDriver.instance(["metadata": map]))]
            )
            #expect(metadata?.message == "Invalid input received: instance.metadata has more than 1024 members")
            let network = try await driver.failure(
                "spawn",
                ["instance": .object(TestDriver.instance()), "network_info": many]
            )
            #expect(network?.message == "Invalid input received: network_info has more than 256 entries")
        }
    }

    @Test(
        arguments: [
            ("power_off", ["timeout": "long"], "timeout must be a number of seconds up to 86400"),
            ("power_off", ["timeout": 86_401], "timeout must be a number of seconds up to 86400"),
            ("power_off", ["retry_interval": []], "retry_interval must be a number of seconds up to 86400"),
            ("reboot", ["reboot_type": "soft"], "reboot_type must be SOFT or HARD"),
            ("reboot", ["reboot_type": 1], "reboot_type must be a string, not integer"),
            ("destroy", ["destroy_disks": "never"], "destroy_disks must be a boolean, not string"),
            ("destroy", ["network_info": ["id": "v"]], "network_info must be a list, not object"),
            ("console_read", ["max_bytes": 0], "max_bytes must be from 1 to 1048576"),
            ("console_read", ["wait": 31], "wait must be from 0 to 30"),
            ("console_read", ["offset": "x"], "offset must be an integer, not string"),
            ("console_write", ["data": "%"], "data is not base64"),
            ("console_write", ["data": 5], "data must be a string, not integer"),
            ("console_write", ["data": ""], "data must be from 1 to 4096 bytes"),
            (
                "console_write", ["data": .string(String(repeating: "AAAA", count: 1366))],
                "data must be from 1 to 4096 bytes"
            ),
            ("snapshot", ["image_id": "../x"], "image_id is not a plain identifier"),
            ("snapshot", ["image_id": ".x"], "image_id is not a plain identifier"),
            ("live_migration", ["dest": 5], "dest must be a string, not integer"),
            (
                "live_migration", ["dest": "b", "block_migration": "auto"],
                "block_migration must be a boolean, not string"
            ),
            ("attach_interface", ["vif": ["id": "v"]], "vif needs address"),
            ("attach_interface", ["vif": ["id": "v/", "address": "x"]], "vif.id is not a plain identifier"),
            ("attach_interface", ["vif": ["id": "v", "address": "fa:16:3e"]], "vif.address is not a MAC address"),
            (
                "attach_interface",
                ["vif": ["id": "v", "address": "fa:16:3e:00:00:01", "devname": "a b"]],
                "vif.devname is not a network device name"
            ),
            ("attach_volume", ["connection_info": ["serial": "v"]], "connection_info needs driver_volume_type"),
            (
                "attach_volume", ["connection_info": ["driver_volume_type": "file"]],
                "connection_info needs serial or volume_id"
            ),
            (
                "spawn", ["injected_files": [["/etc/motd"]]],
                "injected_files[0] must be a pair of path and content"
            ),
            ("spawn", ["injected_files": [["/etc/motd", "%%%"]]], "injected_files[0][1] is not base64"),
            ("spawn", ["image_meta": 5], "image_meta must be an object, not integer"),
            (
                "spawn", ["block_device_info": ["block_device_mapping": [["mount_device": "/dev/sda"]]]],
                "block_device_info.block_device_mapping[0] needs connection_info"
            ),
        ] as [(String, JSONObject, String)]
    )
    func aBadArgumentIsNamed(_ method: String, _ bad: JSONObject, _ text: String) async throws {
        try await TestDriver.with { driver in
            let instance = method == "spawn" ? TestDriver.instance() : try await driver.spawn()
            var args: JSONObject = ["instance": .object(instance)]
            for member in bad { args[member.key] = member.value }
            let failure = try await driver.failure(method, args)
            #expect(failure?.className == "InvalidInput")
            #expect(failure?.message == "Invalid input received: \(text)")
        }
    }

    @Test func novasEnvelopeAndNamesWorkToo() async throws {
        try await TestDriver.with { driver in
            let instance = TestDriver.instance(["name": "vm ünïcode", "uuid": "6B1E0F9C-0A6E-4A53-9AE5-5B0FF4F8A9C1"])
            let envelope: JSONValue = [
                "nova_object.name": "Instance", "nova_object.namespace": "nova", "nova_object.version": "2.7",
                "nova_object.data": .object(instance),
            ]
            let info = try await driver.call("spawn", ["instance": envelope])
            #expect(info["uuid"] == "6b1e0f9c-0a6e-4a53-9ae5-5b0ff4f8a9c1")
            let byName = try await driver.call("get_info", ["instance": ["name": "vm ünïcode"]])
            #expect(byName["uuid"] == info["uuid"])
            let unknown = try await driver.failure("get_info", ["instance": ["name": "other"]])
            #expect(unknown?.kwargs["instance_id"] == "other")
        }
    }

    @Test func resultsHaveTheirShape() async throws {
        try await TestDriver.with { driver in
            let instance = try await driver.spawn(["metadata": ["a": 1, "b": true]])
            let args: JSONObject = ["instance": .object(instance)]
            let info = try await driver.call("get_info", args)
            let names = Set(info.objectValue?.map(\.key) ?? [])
            #expect(
                names == [
                    "uuid", "name", "host", "state", "power_state", "task", "memory_mb", "vcpus", "root_gb",
                    "image_ref", "metadata", "created_at", "max_mem_kb", "mem_kb", "num_cpu", "cpu_time_ns",
                ]
            )
            #expect(info["state"] == "running" && info["power_state"] == 1 && info["task"] == .null)
            #expect(info["metadata"] == ["a": "1", "b": "true"])
            #expect(try await driver.call("power_off", args)["power_state"] == 4)
            #expect(try await driver.call("reboot", args)["state"] == "running")
            #expect(try await driver.call("pause", args)["state"] == "paused")
            #expect(try await driver.call("suspend", args)["state"] == "suspended")
            let refused = try await driver.failure("pause", args)
            #expect(refused?.className == "InstanceInvalidState")
            #expect(refused?.kwargs["attr"] == "power_state" && refused?.kwargs["state"] == "suspended")
            let chunk = try await driver.call("console_read", args)
            #expect(
                Set(chunk.objectValue?.map(\.key) ?? [])
                    == ["data", "offset", "next_offset", "first_offset", "end_offset", "eof"]
            )
            #expect(try await driver.call("console_marks", args).arrayValue?.isEmpty == false)
            #expect(try await driver.call("console_status", args)["state"] == "closed")
            #expect(try await driver.call("list_instance_infos").arrayValue?.count == 1)
            #expect(try await driver.call("ping")["instances"] == 1)
            let resource = try await driver.call("get_available_resource")
            let cpu = try JSONReader.read(Array((resource["cpu_info"]?.stringValue ?? "").utf8))
            #expect(cpu["topology"]?["sockets"] == 1)
            #expect(try await driver.call("get_host_uptime").stringValue?.contains("load average:") == true)
            #expect(try await driver.call("destroy", args) == .null)
            #expect(try await driver.call("destroy", args) == .null)
        }
    }

    @Test func whatIsTypedReachesTheGuestUnlessItIsOff() async throws {
        try await TestDriver.with { driver in
            let instance = try await driver.spawn(["metadata": ["sim.boot_lines": "0"]])
            let args: JSONObject = ["instance": .object(instance)]
            try await eventually("prompt") {
                try await driver.call("get_console_output", args).stringValue?.contains("login: ") == true
            }
            var typing = args
            typing["data"] = .string(Base64.encode(Array("echo over the queue\r".utf8)))
            #expect(try await driver.call("console_write", typing) == .null)
            try await eventually("output") {
                try await driver.call("get_console_output", args).stringValue?.contains("\nover the queue\n") == true
            }
            try await driver.call("power_off", args)
            let refused = try await driver.failure("console_write", typing)
            #expect(refused?.className == "InstanceInvalidState")
            #expect(refused?.kwargs["method"] == "console_write" && refused?.kwargs["state"] == "off")
            try await driver.call("power_on", args)
            #expect(try await driver.call("console_write", typing) == .null)
            typing["instance"] = ["uuid": .string(UniqueID.makeDashed())]
            #expect(try await driver.failure("console_write", typing)?.className == "InstanceNotFound")
        }
    }

    @Test func theTailFollowsNovasRule() async throws {
        try await TestDriver.with { driver in
            let instance = try await driver.spawn(["metadata": ["sim.boot_lines": "0"]])
            let args: JSONObject = ["instance": .object(instance)]
            try await eventually("prompt") {
                try await driver.call("get_console_output", args).stringValue?.contains("login: ") == true
            }
            let uuid = try #require(InstanceUUID(instance["uuid"]?.stringValue ?? ""))
            try await driver.backend.writeConsole(uuid, Array("lines 30\necho done\n".utf8))
            try await eventually("output") {
                try await driver.call("get_console_output", args).stringValue?.contains("\ndone\n") == true
            }
            try await driver.call("power_off", args)
            let all = try #require(try await driver.call("get_console_output", args).stringValue)
            let lines = all.split(separator: "\n", omittingEmptySubsequences: false)
            let expected = all.hasSuffix("\n") ? lines.dropLast() : lines[...]
            for (tail, count) in [
                (JSONValue.int(1), 1), (10, 10), ("10", 10), (10.0, 10), (.int(1_000_000), expected.count),
            ] {
                var tailed = args
                tailed["tail_length"] = tail
                let text = try #require(try await driver.call("get_console_output", tailed).stringValue)
                #expect(
                    text.split(separator: "\n", omittingEmptySubsequences: false) == expected.suffix(count),
                    "\(tail)"
                )
            }
            for (tail, text) in [
                (JSONValue.int(0), ""), ("", ""), ("ten", ""), ([], ""), (.int(-1), all), (.null, all), ("-5", all),
            ] {
                var tailed = args
                tailed["tail_length"] = tail
                #expect(try await driver.call("get_console_output", tailed).stringValue == text, "\(tail)")
            }
        }
    }
}
