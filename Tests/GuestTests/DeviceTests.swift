import DaemonBench
import Foundation
import Support
import TestSupport
import Testing

/// What a guest with drivers sees of its disks and interfaces, all of it asked for over the queue.
@Suite(.enabled(if: GuestBench.isPossible, Comment(rawValue: GuestBench.missing)), .timeLimit(.minutes(5)))
struct DeviceTests {
    @Test func aGuestFindsItsDisksAndReadsItsConfigDrive() async throws {
        guard let linux = await LinuxGuest.files() else {
            try Test.cancel("the Linux guest cannot be made here: apt-get download does not work")
        }
        try await withTemporaryDirectory { directory in
            let options = [
                "DEFAULT": ["resume_guests_state_on_host_boot": "false"],
                "qemu": [
                    "binary": try linux.launcher(in: directory), "machine_type": "", "disk_bus": "virtio",
                    "network": "user",
                ],
                "limits": ["volume_paths": directory],
            ]
            try await GuestBench.run(GuestBench.settings(options: options)) { guests in
                try await Self.check(guests, volumes: directory)
            }
        }
    }

    private static func check(_ guests: GuestBench, volumes: String) async throws {
        let instance = TestInstance("linux")
        try await guests.spawn(
            instance,
            [
                "memory_mb": 160, "ephemeral_gb": 1, "root_gb": 2, "config_drive": "True",
                "metadata": ["role": "web"],
            ]
        )
        let log = try await guests.awaitConsole(instance, "devices done")
        // Sectors of 512 bytes: two GiB of root disk, one of ephemeral disk.
        #expect(log.contains("sectors=4194304"))
        #expect(log.contains("sectors=2097152"))
        #expect(log.contains("openstack/latest/meta_data.json"))
        try await guestPrints("\"role\": \"web\"", "cat /cfg/openstack/latest/meta_data.json", guests, instance)
        try await guestPrints("\(instance.uuid)", "cat /cfg/openstack/latest/meta_data.json", guests, instance)

        let volume = volumes + "/volume"
        try Data(count: 8 << 20).write(to: URL(filePath: volume))
        let connection: JSONValue = [
            "driver_volume_type": "file", "serial": "11111111-0000-4000-8000-00000000000a",
            "data": ["device_path": .string(volume), "format": "raw"],
        ]
        try await guestPrints("ready", "insmod /mod/virtio_scsi.ko 2>/dev/null; echo ready", guests, instance)
        try await guests.perform("attach_volume", instance, ["connection_info": connection, "mountpoint": "/dev/sdb"])
        try await guestPrints("16384", "cat /sys/class/block/sda/size", guests, instance)
        try await guestPrints("wrote", "echo vmops was here >/dev/sda; sync; echo wrote", guests, instance)
        try await guests.perform("detach_volume", instance, ["connection_info": connection, "mountpoint": "/dev/sdb"])
        #expect(try Data(contentsOf: URL(filePath: volume)).starts(with: Data("vmops was here".utf8)))

        let vif: JSONValue = [
            "id": "11111111-0000-4000-8000-00000000000b", "address": "52:54:00:00:00:02", "type": "bridge",
        ]
        try await guests.perform("attach_interface", instance, ["vif": vif])
        try await guestPrints("52:54:00:00:00:02", "cat /sys/class/net/eth*/address", guests, instance)
        try await guests.perform("detach_interface", instance, ["vif": vif])
        try await guestPrints("none", "ls /sys/class/net/eth* 2>/dev/null || echo none", guests, instance)
    }

    /// Runs a command in the guest until a line of what it prints holds the text.
    private static func guestPrints(
        _ text: String,
        _ command: String,
        _ guests: GuestBench,
        _ instance: TestInstance
    ) async throws {
        try await eventually(timeout: .seconds(60), "\(text) from \(command)") {
            let before = try await guests.console(instance).count
            try await guests.type("sh \(command); echo; echo over\n", instance)
            var answer: [Substring] = []
            try await eventually(timeout: .seconds(30), "an answer of the guest") {
                answer = try await guests.console(instance).dropFirst(before).split(whereSeparator: \.isNewline)
                return answer.contains("over")
            }
            return answer.contains { $0.contains(text) && !$0.contains("rx sh") }
        }
    }
}
