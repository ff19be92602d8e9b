import ComputeRPC
import Foundation
import JSONCodec
import Support
import Synchronization
import TestSupport
import Testing

/// What vmopsd takes and sends, in a session that calls every method, agrees with `schemas/`.
@Suite(.needsBroker, .needsPython, .timeLimit(.minutes(5)))
struct MessageSchemaTests {
    /// The methods that were called with success.
    private final class Coverage: Sendable {
        private let methods = Mutex<Set<String>>([])
        func add(_ method: String) { methods.withLock { _ = $0.insert(method) } }
        var all: Set<String> { methods.withLock { $0 } }
    }

    /// Sends requests as messages of its own and holds them and every reply against the schemas.
    private struct Caller: Sendable {
        let client: OsloClient
        let checker: SchemaChecker
        let daemon: DaemonProcess
        let coverage = Coverage()

        /// A call that succeeds; returns the result.
        @discardableResult
        func call(_ method: String, _ args: JSONObject, host: String = "host-a") async throws -> JSONValue {
            let arguments = try await checker.problems(schema(method, "args"), .object(args))
            #expect(arguments == [], "\(method) \(args)")
            let reply = try await send(method, args, host)
            #expect(reply["failure"] == .null, "\(method): \(reply)")
            let result = reply["result"] ?? .null
            #expect(try await checker.problems(schema(method, "result"), result) == [], "\(method): \(result)")
            coverage.add(method)
            return result
        }

        /// A call that fails; returns the class.
        @discardableResult
        func fails(_ method: String, _ args: JSONObject, agrees: Bool = true) async throws -> String? {
            let arguments = try await checker.problems(schema(method, "args"), .object(args))
            #expect(arguments.isEmpty == agrees, "\(method) \(args): \(arguments)")
            let reply = try await send(method, args, "host-a")
            let failure = try #require(reply["failure"]?.stringValue, "\(method) \(args): \(reply)")
            #expect(try await checker.problems("failure.schema.json", text: failure) == [])
            return try JSONReader.read(Array(failure.utf8))["class"]?.stringValue
        }

        private func send(_ method: String, _ args: JSONObject, _ host: String) async throws -> JSONValue {
            let raw = try RawRequest(method: method, args: args)
            let sent = try JSONReader.read(Array(raw.body.utf8))
            let request = sent["oslo.message"]?.stringValue ?? ""
            #expect(try await checker.problems("request.schema.json", text: request) == [])
            let answer = try await client.ask([
                "op": "raw", "body": .string(raw.body), "key": .string("compute.\(host)"), "whole": true,
                "reply_queue": .string(raw.replyQueue), "wait": 30,
            ])
            let body = answer.result?.arrayValue?.first?.stringValue ?? ""
            #expect(try await checker.problems("envelope.schema.json", text: body) == [], "\(method)")
            let inner = try JSONReader.read(Array(body.utf8))["oslo.message"]?.stringValue ?? ""
            #expect(try await checker.problems("reply.schema.json", text: inner) == [], "\(method)")
            return try JSONReader.read(Array(inner.utf8))
        }

        private func schema(_ method: String, _ part: String) -> String {
            "methods/\(method).schema.json#/properties/\(part)"
        }
    }

    private static let settings = DaemonSettings(
        options: [
            "oslo_messaging_notifications": ["driver": "messagingv2"], "simulated": ["shutdown_ms": "10"],
        ]
    )

    private static func run(
        simulated: [String: String] = [:],
        _ body: @escaping @Sendable (Caller) async throws -> Void
    ) async throws {
        var settings = settings
        settings.options["simulated", default: [:]].merge(simulated) { $1 }
        try await Interop.run(.v18_3_1, settings) { interop in
            try await SchemaChecker.run { checker in
                try await body(Caller(client: interop.client, checker: checker, daemon: interop.daemon))
            }
        }
    }

    @Test func everyMethodTakesAndAnswersWhatItsSchemaSays() async throws {
        try await Self.run { (caller: Caller) async throws in
            let instance = NewInstance("web", ["metadata": ["role": "test"], "config_drive": true, "root_gb": 1])
            let it: JSONObject = ["instance": instance.reference]
            let vif: JSONValue = [
                "id": "0c2f7f0e-6f5c-4b88-9a34-8f2c3f0a4d11", "address": "fa:16:3e:00:00:01", "type": "bridge",
                "devname": "tap0", "network": ["bridge": "br0"], "active": true,
            ]
            let disk = caller.daemon.statePath + "/volumes/volume.raw"
            try FileManager.default.createDirectory(
                atPath: caller.daemon.statePath + "/volumes",
                withIntermediateDirectories: true
            )
            try Data(count: 1 << 20).write(to: URL(filePath: disk))
            let volume: JSONValue = [
                "driver_volume_type": "file", "serial": "vol-1", "data": ["device_path": .string(disk)],
            ]
            try await caller.call(
                "spawn",
                [
                    "instance": instance.argument, "image_meta": [:], "injected_files": [["/etc/motd", "aGVsbG8="]],
                    "admin_password": "s3cret", "network_info": [], "block_device_info": .null, "power_on": true,
                ]
            )
            try await self.queries(caller, it)
            for method in ["pause", "unpause", "suspend", "resume"] { try await caller.call(method, it) }
            try await caller.call("reboot", ["instance": instance.reference, "reboot_type": "HARD"])
            try await caller.call("reboot", ["instance": instance.reference])
            try await self.devices(caller, instance, vif: vif, volume: volume)
            let snapshot: JSONObject = ["instance": instance.reference, "image_id": "snap-1"]
            try await caller.call("snapshot", snapshot)
            try await caller.call(
                "power_off",
                ["instance": instance.reference, "timeout": 5, "retry_interval": 1]
            )
            try await caller.call("power_on", it)
            let flavor: JSONValue = ["memory_mb": 1024, "vcpus": 2, "root_gb": 2, "ephemeral_gb": 1]
            let resize: JSONObject = [
                "instance": instance.reference, "dest": "host-b", "flavor": flavor, "timeout": 5, "retry_interval": 1,
                "power_on": true,
            ]
            let resized = try await caller.call("resize_instance", resize)
            #expect(resized["host"] == "host-b" && resized["resize"] == "unconfirmed")
            let reverted = try await caller.call("revert_resize", it, host: "host-b")
            #expect(reverted["host"] == "host-a")
            try await caller.call("resize_instance", ["instance": instance.reference, "flavor": ["vcpus": 2]])
            try await caller.call("confirm_resize", it)
            // It is there already.
            try await caller.call("evacuate_instance", ["instance": instance.reference, "power_on": true])
            try await caller.call("list_stored_instances", ["owner": "host-a"])
            try await caller.call("give_up_live_migration", ["instance": instance.reference, "run_here": false])
            let moved = try await caller.call("live_migration", ["instance": instance.reference, "dest": "host-b"])
            #expect(moved["host"] == "host-b")
            try await caller.call("console_marks", it, host: "host-b")
            try await caller.call("destroy", ["instance": instance.reference, "destroy_disks": true], host: "host-b")
            try await caller.call("destroy", it)

            let methods = try await caller.checker.schemas().names.filter { $0.hasPrefix("methods/") }
                .map { String($0.dropFirst("methods/".count).dropLast(".schema.json".count)) }
            // What only makes sense while a migration runs is called in tests of its own.
            let others = ["abort_live_migration"] + DriverMethods.peerMethods
            #expect(Set(methods).subtracting(caller.coverage.all) == Set(others))
        }
    }

    private func queries(_ caller: Caller, _ it: JSONObject) async throws {
        for method in ["get_info", "get_diagnostics", "get_console_output", "console_marks", "console_status"] {
            try await caller.call(method, it)
        }
        var tail = it
        tail["tail_length"] = 3
        try await caller.call("get_console_output", tail)
        var window = it
        window["offset"] = -10
        window["max_bytes"] = 100
        window["wait"] = 0
        try await caller.call("console_read", window)
        var typing = it
        typing["data"] = "DQ=="
        try await caller.call("console_write", typing)
        for method in [
            "ping", "list_instances", "list_instance_uuids", "list_instance_infos", "get_available_resource",
            "get_host_uptime", "get_capabilities",
        ] {
            try await caller.call(method, [:])
        }
    }

    private func devices(_ caller: Caller, _ instance: NewInstance, vif: JSONValue, volume: JSONValue) async throws {
        let reference = instance.reference
        try await caller.call("attach_interface", ["instance": reference, "vif": vif])
        try await caller.call("get_info", ["instance": reference])
        try await caller.call("detach_interface", ["instance": reference, "vif": vif])
        let attachment: JSONObject = [
            "instance": reference, "connection_info": volume, "mountpoint": "/dev/vdb",
        ]
        try await caller.call("attach_volume", attachment)
        try await caller.call("detach_volume", attachment)
    }

    @Test func aMigrationThatIsStoppedAgreesToo() async throws {
        // Long enough to be seen and stopped on a loaded machine.
        try await Self.run(simulated: ["migration_ms": "30000"]) { (caller: Caller) async throws in
            let instance = NewInstance("traveller")
            let it: JSONObject = ["instance": instance.reference]
            try await caller.call("spawn", ["instance": instance.argument])
            try await caller.client.cast("live_migration", ["instance": instance.reference, "dest": "host-b"])
            try await eventually("a migration that reports its progress") {
                let info = try await caller.client.call("get_info", it)
                return info.result?["migration"]?["phase"] == "precopy"
            }
            let info = try await caller.call("get_info", it)
            #expect(info["migration"] != nil)
            try await caller.call("abort_live_migration", it)
            try await eventually(timeout: .seconds(60), "the end of the migration") {
                let info = try await caller.client.call("get_info", it)
                return info.result?["state"] == "running" && info.result?["host"] == "host-a"
            }
        }
    }

    @Test func whatTheSchemasRefuseIsRefused() async throws {
        try await Self.run { (caller: Caller) async throws in
            let uuid = NewInstance().uuid
            let absent: JSONValue = ["uuid": .string(uuid)]
            #expect(try await caller.fails("get_info", ["instance": absent]) == "InstanceNotFound")
            #expect(try await caller.fails("live_migration", ["instance": absent, "dest": "b"]) == "InstanceNotFound")
            let wrong: [(String, JSONObject, String)] = [
                ("get_info", [:], "TypeError"),
                ("get_info", ["instance": absent, "more": 1], "TypeError"),
                ("list_instances", ["more": 1], "TypeError"),
                ("snapshot", ["instance": absent], "TypeError"),
                ("get_info", ["instance": [:]], "InvalidInput"),
                ("get_info", ["instance": "web"], "InvalidInput"),
                ("get_info", ["instance": ["uuid": "no uuid"]], "InvalidInput"),
                ("get_info", ["instance": ["name": "a/b"]], "InvalidInput"),
                ("spawn", ["instance": absent], "InvalidInput"),
                ("spawn", ["instance": NewInstance("w", ["vcpus": 0]).argument], "InvalidInput"),
                ("spawn", ["instance": NewInstance("w", ["memory_mb": "64"]).argument], "InvalidInput"),
                ("spawn", ["instance": NewInstance("w", ["root_gb": -1]).argument], "InvalidInput"),
                ("spawn", ["instance": NewInstance("w", ["metadata": ["k": []]]).argument], "InvalidInput"),
                ("spawn", ["instance": NewInstance("w").argument, "network_info": [7]], "InvalidInput"),
                ("reboot", ["instance": absent, "reboot_type": "WARM"], "InvalidInput"),
                ("power_off", ["instance": absent, "timeout": "soon"], "InvalidInput"),
                ("console_read", ["instance": absent, "max_bytes": 0], "InvalidInput"),
                ("console_read", ["instance": absent, "wait": 31], "InvalidInput"),
                ("attach_volume", ["instance": absent, "connection_info": [:]], "InvalidInput"),
                ("attach_interface", ["instance": absent, "vif": ["id": "../x", "address": "y"]], "InvalidInput"),
            ]
            for (method, args, raised) in wrong {
                #expect(try await caller.fails(method, args, agrees: false) == raised, "\(method) \(args)")
            }
        }
    }

    @Test func notificationsAgree() async throws {
        try await Self.run { (caller: Caller) async throws in
            let instance = NewInstance()
            let failing = NewInstance("doomed", ["metadata": ["sim.fault.create_machine": "always internal"]])
            try await caller.call("spawn", ["instance": instance.argument])
            try await caller.call("pause", ["instance": instance.reference])
            try await caller.fails("spawn", ["instance": failing.argument])
            for (queue, count) in [("notifications.info", 5), ("notifications.error", 1)] {
                let answer = try await caller.client.ask([
                    "op": "get", "queue": .string(queue), "count": .int(Int64(count)),
                ])
                let bodies = (answer.result?.arrayValue ?? []).compactMap(\.stringValue)
                #expect(bodies.count == count, "\(answer.fields)")
                for body in bodies {
                    #expect(try await caller.checker.problems("envelope.schema.json", text: body) == [])
                    let inner = try JSONReader.read(Array(body.utf8))["oslo.message"]?.stringValue ?? ""
                    #expect(try await caller.checker.problems("notification.schema.json", text: inner) == [])
                    let payload = try JSONReader.read(Array(inner.utf8))["payload"] ?? .null
                    let schema = "instance-notification.schema.json"
                    #expect(try await caller.checker.problems(schema, payload) == [], "\(inner)")
                }
            }
        }
    }
}
