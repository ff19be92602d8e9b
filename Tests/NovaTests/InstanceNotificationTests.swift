import Foundation
import NovaObjects
import Support
import TestSupport
import Testing

/// Versioned notifications as a stock listener hears them, held against Nova's own classes.
@Suite(.needsBroker, .needsNova, .timeLimit(.minutes(20)))
struct InstanceNotificationTests {
    /// What has been heard; of two queues, each in its order.
    private actor Ear {
        private(set) var heard: [JSONValue] = []

        func take(_ nova: ControlPlane) async throws {
            heard += try await nova.ask("heard")["heard"]?.arrayValue ?? []
        }

        /// Those of hosts about an instance; what a conductor says of it is told apart by who says it.
        func about(_ uuid: String, by host: String? = nil) -> [JSONValue] {
            heard.filter { note in
                let publisher = note["publisher"]?.stringValue ?? ""
                let isHost = publisher == "nova-compute:host-a" || publisher == "nova-compute:host-b"
                return note["uuid"]?.stringValue == uuid && isHost
                    && (host == nil || publisher == "nova-compute:\(host ?? "")")
            }
        }

        func events(_ uuid: String, by host: String? = nil) -> [String] {
            about(uuid, by: host).compactMap { $0["event"]?.stringValue }
        }
    }

    private static let options = [
        "oslo_messaging_notifications": ["driver": "messagingv2"],
        "notifications": ["notification_format": "versioned", "notify_on_state_change": "vm_and_task_state"],
    ]

    private static func wait(
        _ nova: ControlPlane,
        _ ear: Ear,
        for event: String,
        _ uuid: String,
        times: Int = 1
    ) async throws -> JSONValue {
        try await eventually(timeout: .seconds(120), "\(event) is heard") {
            try await ear.take(nova)
            return await ear.events(uuid).count { $0 == event } >= times
        }
        return try #require(await ear.about(uuid).last { $0["event"]?.stringValue == event })
    }

    /// What stays the same however often the record is written meanwhile.
    private static func lasting(_ payload: JSONValue?) -> JSONObject? {
        guard var data = payload?["nova_object.data"]?.objectValue, data["updated_at"]?.isNull == false else {
            return nil
        }
        data["updated_at"] = .null
        data["nova_object.name"] = payload?["nova_object.name"] ?? .null
        data["nova_object.version"] = payload?["nova_object.version"] ?? .null
        return data
    }

    private static func operate(
        _ nova: ControlPlane,
        _ uuid: String,
        _ method: String,
        _ arguments: JSONObject,
        task: String
    ) async throws -> String {
        try await nova.ask("begin", ["uuid": .string(uuid), "task_state": .string(task)])
        let answer = try await nova.compute(method, uuid, arguments, action: "test")
        return try #require(answer["request"]?.stringValue)
    }

    @Test func aLifeIsToldInNovasWords() async throws {
        try await ControlPlane.run(conductor: true, service: true, notifications: true, options: Self.options) { nova in
            let ear = Ear()
            let uuid = try await nova.boot()
            _ = try await Self.wait(nova, ear, for: "instance.create.end", uuid)
            #expect(await ear.events(uuid) == ["instance.create.start", "instance.create.end"])
            let created = try #require(await ear.about(uuid).last?["payload"])
            #expect(created["nova_object.name"] == "InstanceCreatePayload")
            let data = try #require(created["nova_object.data"])
            #expect(data["state"] == "active")
            #expect(data["power_state"] == "running")
            #expect(data["host"] == "host-a")
            #expect(data["display_name"] == "vm-one")
            #expect(data["flavor"]?["nova_object.data"]?["memory_mb"] == 128)
            #expect(data["image_uuid"] == .string(ControlPlane.imageID))
            #expect(data["instance_name"]?.stringValue?.hasPrefix("instance-0000") == true)

            var expected = await ear.events(uuid)
            for (method, arguments, task, event) in [
                ("pause_instance", [:], "pausing", "pause"), ("unpause_instance", [:], "unpausing", "unpause"),
                ("suspend_instance", [:], "suspending", "suspend"), ("resume_instance", [:], "resuming", "resume"),
                ("reboot_instance", ["block_device_info": nil, "reboot_type": "HARD"], "rebooting_hard", "reboot"),
                ("stop_instance", ["clean_shutdown": false], "powering-off", "power_off"),
                ("start_instance", [:], "powering-on", "power_on"),
            ] as [(String, JSONObject, String, String)] {
                let request = try await Self.operate(nova, uuid, method, arguments, task: task)
                let told = try await Self.wait(nova, ear, for: "instance.\(event).end", uuid)
                expected += ["instance.\(event).start", "instance.\(event).end"]
                // Nobody has touched the instance since: Nova would tell the same of it.
                let own = try await nova.ask("payload", ["uuid": .string(uuid), "request": .string(request)])
                #expect(Self.lasting(told["payload"]) == Self.lasting(own["payload"]), "\(event)")
                #expect(told["user"]?.stringValue?.isEmpty == false)
            }
            #expect(await ear.events(uuid) == expected)

            try await Self.migrate(nova, ear, uuid)
            _ = try await Self.operate(nova, uuid, "terminate_instance", ["bdms": .array([])], task: "deleting")
            let deleted = try await Self.wait(nova, ear, for: "instance.delete.end", uuid)
            #expect(
                await ear.events(uuid).suffix(4) == [
                    "instance.delete.start", "instance.shutdown.start", "instance.shutdown.end", "instance.delete.end",
                ]
            )
            #expect(deleted["payload"]?["nova_object.data"]?["state"] == "deleted")
            #expect(deleted["payload"]?["nova_object.data"]?["deleted_at"]?.isNull == false)

            let heard = await ear.heard
            // What is saved through it the conductor tells, and it alone.
            let updates = heard.filter { $0["event"] == "instance.update" && $0["uuid"]?.stringValue == uuid }
            #expect(updates.count > 10)
            #expect(
                updates.allSatisfy {
                    !["nova-compute:host-a", "nova-compute:host-b"].contains($0["publisher"]?.stringValue)
                }
            )
            #expect(
                heard.allSatisfy { $0["complaints"] == .array([]) },
                "\(heard.filter { $0["complaints"] != .array([]) })"
            )
        }
    }

    private static func migrate(_ nova: ControlPlane, _ ear: Ear, _ uuid: String) async throws {
        try await nova.ask("migrate", ["uuid": .string(uuid), "dest": "host-b"])
        for event in ["instance.live_migration_post_dest.end", "instance.live_migration_post.end"] {
            _ = try await wait(nova, ear, for: event, uuid)
        }
        #expect(
            await ear.events(uuid, by: "host-a").suffix(2) == [
                "instance.live_migration_post.start", "instance.live_migration_post.end",
            ]
        )
        #expect(
            await ear.events(uuid, by: "host-b") == [
                "instance.live_migration_pre.start", "instance.live_migration_pre.end",
                "instance.live_migration_post_dest.start", "instance.live_migration_post_dest.end",
            ]
        )
    }

    // MARK: - Devices, rebuilds and moves

    @Test func devicesRebuildsAndMovesAreToldToo() async throws {
        try await withTemporaryDirectory { directory in
            let file = directory + "/volume"
            try Data(count: 8 << 20).write(to: URL(filePath: file))
            var options = Self.options
            options["limits"] = ["volume_paths": directory]
            options["nova"] = ["shutdown_timeout": "1"]
            try await CloudTests.run(options, notifications: true) { nova, cloud in
                let ear = Ear()
                let uuid = try await CloudTests.build(nova, cloud, [["network_id": .string(CloudTests.network)]])
                try await nova.wait(uuid, "active")
                _ = try await Self.wait(nova, ear, for: "instance.create.end", uuid)
                try await Self.devices(nova, ear, uuid, file)
                try await nova.ask("rebuild", ["uuid": .string(uuid), "image": ["id": .string(CloudTests.imageID)]])
                let rebuilt = try await Self.wait(nova, ear, for: "instance.rebuild.end", uuid)
                #expect(rebuilt["payload"]?["nova_object.name"] == "InstanceActionRebuildPayload")
                #expect(rebuilt["payload"]?["nova_object.data"]?["state"] == "active")
                let expected = [
                    "create.start", "create.end", "interface_attach.start", "interface_attach.end",
                    "interface_attach.start", "interface_attach.error", "interface_detach.start",
                    "interface_detach.end",
                    "volume_attach.start", "volume_attach.end", "volume_detach.start", "volume_detach.end",
                    "rebuild.start", "rebuild.end",
                ]
                // Errors come by another queue.
                let told = await ear.events(uuid).filter { $0 != "instance.interface_attach.error" }
                #expect(told == expected.filter { $0 != "interface_attach.error" }.map { "instance." + $0 })
                try await Self.moves(nova, cloud, ear, uuid)
                let wrong = await ear.heard.filter { $0["complaints"] != .array([]) }
                #expect(wrong.isEmpty, "\(wrong)")
            }
        }
    }

    private static func devices(_ nova: ControlPlane, _ ear: Ear, _ uuid: String, _ file: String) async throws {
        let arguments = InterfaceTests.arguments(network: CloudTests.network)
        let answer = try await nova.compute("attach_interface", uuid, arguments, action: "test")
        let port = try #require(answer["result"]?["id"]?.stringValue)
        _ = try await wait(nova, ear, for: "instance.interface_attach.end", uuid)
        let absent = InterfaceTests.arguments(port: "3c9b8a7e-0000-4000-8000-000000000000")
        #expect(try await nova.failure("attach_interface", uuid, absent)?.className == "PortNotFound")
        let refused = try await wait(nova, ear, for: "instance.interface_attach.error", uuid)
        let fault = refused["payload"]?["nova_object.data"]?["fault"]?["nova_object.data"]
        #expect(refused["priority"] == "error")
        #expect(fault?["exception"] == "PortNotFound")
        #expect(fault?["function_name"] == "attach_interface")
        try await nova.compute("detach_interface", uuid, ["port_id": .string(port)], action: "test")
        _ = try await wait(nova, ear, for: "instance.interface_detach.end", uuid)

        let volume = VolumeTests.volume
        try await VolumeTests.attach(nova, uuid, volume, VolumeTests.connection(file))
        var told = try await wait(nova, ear, for: "instance.volume_attach.end", uuid)
        #expect(told["payload"]?["nova_object.name"] == "InstanceActionVolumePayload")
        #expect(told["payload"]?["nova_object.data"]?["volume_id"]?.stringValue == volume)
        let gone: JSONObject = ["volume_id": .string(volume), "attachment_id": nil]
        try await nova.compute("detach_volume", uuid, gone, action: "test")
        told = try await wait(nova, ear, for: "instance.volume_detach.end", uuid)
        #expect(told["payload"]?["nova_object.data"]?["volume_id"]?.stringValue == volume)
    }

    /// To another host and back, and there for good.
    private static func moves(_ nova: ControlPlane, _ cloud: CloudServer, _ ear: Ear, _ uuid: String) async throws {
        for (number, end) in [(1, "revert"), (2, "confirm")] {
            let before = await (ear.events(uuid, by: "host-a").count, ear.events(uuid, by: "host-b").count)
            let move = try await ResizeTests.move(nova, uuid, to: "host-b")
            #expect(try await ResizeTests.settled(["finished", "error"], move, nova)["vm_state"] == "resized")
            for action in ["resize_prep", "resize", "resize_finish"] {
                let told = try await wait(nova, ear, for: "instance.\(action).end", uuid, times: number)
                guard action == "resize_prep" else { continue }
                #expect(told["payload"]?["nova_object.name"] == "InstanceActionResizePrepPayload")
            }
            // As the conductor leaves it.
            try await cloud.put("allocation", move.uuid, try #require(try await cloud.state("allocation")[uuid]))
            try await nova.ask(end, ["uuid": .string(uuid), "migration": .int(move.migration)])
            _ = try await ResizeTests.settled([end == "revert" ? "reverted" : "confirmed"], move, nova)
            _ = try await wait(nova, ear, for: "instance.resize_\(end).end", uuid)
            let source = await ear.events(uuid, by: "host-a").dropFirst(before.0)
            let expected = ["resize.start", "resize.end", "resize_\(end).start", "resize_\(end).end"]
            #expect(Array(source) == expected.map { "instance." + $0 })
            // The source may be ready before the destination has told that it has asked it.
            let destination = await ear.events(uuid, by: "host-b").dropFirst(before.1)
            #expect(destination.first == "instance.resize_prep.start")
            #expect(destination.count == 4)
            for action in ["resize_prep", "resize_finish"] {
                let own = destination.filter { $0.hasPrefix("instance.\(action).") }
                #expect(own == ["instance.\(action).start", "instance.\(action).end"])
            }
        }
    }

    @Test func failuresAreToldAndTheProjectsOwnOnesBesides() async throws {
        var options = Self.options
        options["notifications"]?["notification_format"] = "both"
        options["oslo_messaging_notifications"]?["topics"] = "versioned_notifications"
        try await ControlPlane.run(conductor: true, notifications: true, options: options) { nova in
            let ear = Ear()
            let uuid = try await nova.create(on: nil, ["metadata": ["sim.fault.create_machine": "always internal"]])
            try await nova.ask("build", ["uuid": .string(uuid), "host": "host-a", "image": ControlPlane.image])
            let told = try await Self.wait(nova, ear, for: "instance.create.error", uuid)
            #expect(told["priority"] == "error")
            let data = try #require(told["payload"]?["nova_object.data"])
            #expect(data["state"] == "error")
            let fault = data["fault"]?["nova_object.data"]
            #expect(fault?["function_name"] == "build_and_run_instance")
            #expect(fault?["module_name"] == "nova.exception")
            #expect(fault?["exception_message"]?.stringValue?.isEmpty == false)

            // Of a method whose failures have no name of their own.
            let absent = try await nova.create(on: "host-a")
            try await nova.compute("pause_instance", absent, [:], action: "pause")
            try await eventually(
                timeout: .seconds(120),
                "an exception, and the own notification of the boot, are heard"
            ) {
                try await ear.take(nova)
                let heard = await ear.heard
                let exception = heard.first { $0["event"] == "compute.exception" }?["payload"]?["nova_object.data"]
                let own = heard.contains {
                    $0["publisher"] == "compute.host-a" && $0["event"] == "instance.create.error"
                }
                return exception?["exception"] == "InstanceNotFound" && own
            }
            let versioned = await ear.heard.filter { $0["publisher"] != "compute.host-a" }
            #expect(versioned.allSatisfy { $0["complaints"] == .array([]) }, "\(versioned)")
            try await Self.everyClass(nova)
        }
    }

    /// Also those of which the scenario above has none.
    private static func everyClass(_ nova: ControlPlane) async throws {
        let instance = try NovaInstance(instance)
        let fault = InstancePayload.exception("E", module: "m", function: "f", message: "text", details: "lines")
        let devices = NovaObject(
            "BlockDeviceMapping",
            ObjectVersion(1, 21),
            ["volume_id": "0b1c7d52-9f0f-4e0e-8a5e-64a1d0f2c3d4", "device_name": "/dev/vdb", "boot_index": nil]
        )
        let payload = try InstancePayload(
            instance,
            by: InstancePayload.Initiator(context: ["user_id": "u", "project_id": "p", "request_id": "req-1"]),
            blockDevices: [devices]
        )
        let flavor = try instance.object.object("flavor")
        let volume = "9d5f0f6e-2c8c-4cbe-9c2a-5a0f7c5f1b11"
        for object in [
            payload.action(), payload.action(fault: fault), try payload.creation(),
            payload.snapshot(image: volume, fault: fault), payload.volume(volume), try payload.rebuild(),
            payload.resizePreparation(to: flavor), payload.resizePreparation(to: nil), fault,
        ] {
            let answer = try await nova.ask("check", ["payload": object.primitive])
            #expect(answer["complaints"] == .array([]), "\(object.name)")
        }
        let data = payload.action(fault: fault).data
        #expect(data["ip_addresses"]?.arrayValue?.first?["nova_object.data"]?["address"] == "10.0.0.7")
        #expect(data["block_devices"]?.arrayValue?.count == 1)
        #expect(data["locked_reason"] == "why")
        #expect(data["auto_disk_config"] == "AUTO")
        #expect(data["power_state"] == "suspended")
        let creation = try payload.creation().data
        #expect(creation["keypairs"]?.arrayValue?.first?["nova_object.data"]?["name"] == "key")
        #expect(creation["tags"] == ["blue"])
        #expect(creation["trusted_image_certificates"] == ["cert"])
    }

    private static var instance: JSONValue {
        let vif = #"""
            [{"id": "3c9b8a7e-0000-4000-8000-00000000abcd", "address": "fa:16:3e:11:22:33", "devname": "tap3c9b8a7e-00",
            "meta": {}, "network": {"label": "private", "subnets": [{"ips": [{"address": "10.0.0.7", "version": 4}]}]}}]
            """#
        func object(_ name: String, _ data: JSONObject) -> JSONValue {
            NovaObject(name, ObjectVersion(1, 0), data).primitive
        }
        let data: JSONObject = [
            "id": 7, "uuid": "6d8a4f0e-3b1c-4f52-9e7d-2a6c5b4d3e1f", "vm_state": "suspended", "power_state": 7,
            "task_state": nil, "auto_disk_config": true, "system_metadata": ["locked_reason": "why"], "locked": true,
            "created_at": "2026-01-15T10:20:30Z", "metadata": ["a": "b"],
            "flavor": object("Flavor", ["name": "m1.tiny", "memory_mb": 128, "extra_specs": ["a": "b"]]),
            "info_cache": object("InstanceInfoCache", ["network_info": .string(vif)]),
            "keypairs": object(
                "KeyPairList",
                ["objects": [object("KeyPair", ["name": "key", "type": "ssh", "public_key": "ssh-rsa A"])]]
            ),
            "tags": object("TagList", ["objects": [object("Tag", ["tag": "blue"])]]),
            "trusted_certs": object("TrustedCerts", ["ids": ["cert"]]),
        ]
        return NovaObject("Instance", ObjectVersion(2, 7), data).primitive
    }
}
