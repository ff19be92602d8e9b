import Foundation
import Support
import TestSupport
import Testing

/// Volumes in files, with Nova's own conductor.
@Suite(.needsBroker, .needsNova, .serialized, .timeLimit(.minutes(15)))
struct VolumeTests {
    static let volume = "77777777-0000-4000-8000-00000000000a"
    private static let other = "77777777-0000-4000-8000-00000000000b"

    private static func run(
        _ options: [String: [String: String]] = [:],
        _ body: @escaping @Sendable (ControlPlane, String) async throws -> Void
    ) async throws {
        try await withTemporaryDirectory { directory in
            var options = options
            options["limits"] = ["volume_paths": directory]
            let file = directory + "/volume"
            try Data(count: 8 << 20).write(to: URL(filePath: file))
            try await ControlPlane.run(conductor: true, service: true, options: options) { nova in
                try await body(nova, file)
            }
        }
    }

    private static func reservation(_ volume: String, device: String? = nil) -> JSONObject {
        [
            "device": device.map(JSONValue.string) ?? .null, "volume_id": .string(volume), "disk_bus": nil,
            "device_type": nil, "tag": nil, "multiattach": false,
        ]
    }

    static func connection(_ file: String, type: String = "file") -> JSONValue {
        ["driver_volume_type": .string(type), "data": ["device_path": .string(file), "format": "raw"]]
    }

    /// What the API does: the mapping is made by the host, and gets what the volume service says.
    static func attach(_ nova: ControlPlane, _ uuid: String, _ volume: String, _ connection: JSONValue?)
        async throws
    {
        let answer = try await nova.compute("reserve_block_device_name", uuid, reservation(volume))
        #expect(answer["object"] == "BlockDeviceMapping")
        #expect(answer["result"]?["volume_id"]?.stringValue == volume)
        if let connection {
            try await nova.ask(
                "connect",
                ["uuid": .string(uuid), "volume": .string(volume), "connection": connection]
            )
        }
        try await nova.compute("attach_volume", uuid, ["bdm": ["volume": .string(volume)]], action: "attach_volume")
    }

    private static func volumes(_ nova: ControlPlane, _ uuid: String) async throws -> [JSONValue] {
        try await nova.ask("devices", ["uuid": .string(uuid)])["volumes"]?.arrayValue ?? []
    }

    private static let kinds: [[String: [String: String]]] = QEMUProgram.isInstalled ? [[:], real] : [[:]]
    private static let real = [
        "DEFAULT": ["backend": "qemu", "resume_guests_state_on_host_boot": "false"],
        "qemu": ["acceleration": "tcg", "machine_type": "pc", "disk_bus": "ide"],
    ]

    @Test(arguments: kinds) func aVolumeInAFileComesAndGoes(options: [String: [String: String]]) async throws {
        try await Self.run(options) { nova, file in
            let uuid = try await nova.boot()
            try await Self.attach(nova, uuid, Self.volume, Self.connection(file))
            try await eventually(timeout: .seconds(120), "the mapping has the volume's name") {
                try await Self.volumes(nova, uuid).first?["connection"]?["serial"]?.stringValue == Self.volume
            }
            let mapping = try await Self.volumes(nova, uuid).first
            #expect(mapping?["device"] == "/dev/sdb")
            #expect(mapping?["connection"]?["data"]?["device_path"]?.stringValue == file)
            #expect(try await nova.show(uuid)["faults"] == .array([]))
            // Its name and its device are taken.
            for (arguments, name) in [
                (Self.reservation(Self.volume), "InvalidVolume"),
                (Self.reservation(Self.other, device: "/dev/vdb"), "DevicePathInUse"),
                (Self.reservation(Self.other, device: "second"), "InvalidDevicePath"),
            ] {
                let raised = try await nova.failure("reserve_block_device_name", uuid, arguments)
                #expect(raised?.className == name)
            }
            // It stays while the machine is off and on again, and can go while it is off.
            try await nova.ask("begin", ["uuid": .string(uuid), "task_state": "powering-off"])
            try await nova.compute("stop_instance", uuid, ["clean_shutdown": false])
            try await nova.wait(uuid, "stopped")
            try await nova.compute(
                "detach_volume",
                uuid,
                ["volume_id": .string(Self.volume), "attachment_id": nil],
                action: "detach_volume"
            )
            try await eventually(timeout: .seconds(120), "the mapping is gone") {
                try await Self.volumes(nova, uuid).isEmpty
            }
            // Again, and while it runs.
            try await Self.attach(nova, uuid, Self.volume, Self.connection(file, type: "nfs"))
            try await eventually(timeout: .seconds(120), "it is attached again") {
                try await Self.volumes(nova, uuid).first?["connection"]?["serial"] != nil
            }
            try await nova.ask("begin", ["uuid": .string(uuid), "task_state": "powering-on"])
            try await nova.compute("start_instance", uuid)
            try await nova.wait(uuid, "active")
            try await nova.compute(
                "detach_volume",
                uuid,
                ["volume_id": .string(Self.volume), "attachment_id": nil]
            )
            try await eventually(timeout: .seconds(120), "the mapping is gone again") {
                try await Self.volumes(nova, uuid).isEmpty
            }
            #expect(try await nova.show(uuid)["vm_state"] == "active")
            #expect(try await nova.show(uuid)["faults"] == .array([]))
            try await CloudTests.delete(nova, uuid)
        }
    }

    @Test func refusalsLeaveNoMappingAndACrashLosesNone() async throws {
        try await Self.run { nova, file in
            try await Self.refusals(nova, file)
            try await Self.crash(nova, file)
        }
    }

    private static func refusals(_ nova: ControlPlane, _ file: String) async throws {
        let uuid = try await nova.boot()
        for (connection, reason) in [
            (nil, "has no volume service"), (Self.connection(file, type: "iscsi"), "type iscsi"),
            (Self.connection("/etc/hostname"), "Volume"), (Self.connection(file + ".absent"), "Volume"),
        ] {
            let before = try await nova.show(uuid)["faults"]?.arrayValue?.count ?? 0
            try await Self.attach(nova, uuid, Self.volume, connection)
            try await eventually(timeout: .seconds(120), "the mapping is gone, and a fault tells why") {
                let faults = try await nova.show(uuid)["faults"]?.arrayValue ?? []
                return faults.count > before
                    && faults.contains { $0["message"]?.stringValue?.contains(reason) == true }
            }
            #expect(try await Self.volumes(nova, uuid).isEmpty)
        }
        // Whatever the instance is doing is none of their business.
        try await nova.ask("begin", ["uuid": .string(uuid), "task_state": "rebooting"])
        let before = try await nova.show(uuid)["faults"]?.arrayValue?.count ?? 0
        try await nova.compute(
            "swap_volume",
            uuid,
            [
                "old_volume_id": .string(Self.volume), "new_volume_id": .string(Self.other),
                "new_attachment_id": nil,
            ]
        )
        try await nova.compute("detach_volume", uuid, ["volume_id": .string(Self.volume), "attachment_id": nil])
        try await eventually(timeout: .seconds(120), "both are refused") {
            (try await nova.show(uuid)["faults"]?.arrayValue?.count ?? 0) == before + 2
        }
        #expect(try await nova.show(uuid)["task_state"] == "rebooting")
        for (name, arguments) in [
            ("VolumeTaggedAttachNotSupported", ["tag": "one", "multiattach": false]),
            ("MultiattachNotSupportedByVirtDriver", ["tag": nil, "multiattach": true]),
        ] as [(String, JSONObject)] {
            var all = Self.reservation(Self.volume)
            for argument in arguments { all[argument.key] = argument.value }
            #expect(try await nova.failure("reserve_block_device_name", uuid, all)?.className == name)
        }
    }

    private static func crash(_ nova: ControlPlane, _ file: String) async throws {
        let slow =
            ["metadata": ["sim.delay.attach_disk_ms": "3000", "sim.delay.detach_disk_ms": "3000"]] as JSONObject
        let uuid = try await nova.boot(on: "host-a", slow)
        let reserved = Self.reservation(Self.volume)
        try await nova.compute("reserve_block_device_name", uuid, reserved)
        try await nova.ask(
            "connect",
            ["uuid": .string(uuid), "volume": .string(Self.volume), "connection": Self.connection(file)]
        )
        let attached = ["bdm": ["volume": .string(Self.volume)]] as JSONObject
        try await nova.compute("attach_volume", uuid, attached, action: "attach_volume")
        try await Self.begun("compute_attach_volume", nova, uuid)
        try await nova.daemon.kill()
        try await nova.daemon.start()
        try await eventually(timeout: .seconds(120), "it is attached") {
            try await Self.volumes(nova, uuid).first?["connection"]?["serial"] != nil
        }
        let detached = ["volume_id": .string(Self.volume), "attachment_id": nil] as JSONObject
        try await nova.compute("detach_volume", uuid, detached, action: "detach_volume")
        try await Self.begun("compute_detach_volume", nova, uuid)
        try await nova.daemon.kill()
        try await nova.daemon.start()
        try await eventually(timeout: .seconds(120), "it is detached") {
            try await Self.volumes(nova, uuid).isEmpty
        }
        #expect(try await nova.show(uuid)["faults"] == .array([]))
    }

    private static func begun(_ event: String, _ nova: ControlPlane, _ uuid: String) async throws {
        try await eventually(timeout: .seconds(120), "the host is at it") {
            let events = try await nova.show(uuid)["events"]?.arrayValue ?? []
            return events.contains { $0["event"]?.stringValue == event }
        }
    }
}
