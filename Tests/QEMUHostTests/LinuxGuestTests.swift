import Foundation
import HostBackend
import HostConformance
import Support
import TestSupport
import Testing

@testable import QEMUHost

/// What takes a guest with drivers: a whole round of devices on the machine type that is the default.
@Suite(.timeLimit(.minutes(5)), .enabled(if: QEMUProgram.isInstalled, Comment(rawValue: QEMUProgram.missing)))
struct LinuxGuestTests {
    @Test func devicesComeAndGoUnderARealKernel() async throws {
        guard let guest = await LinuxGuest.files() else {
            try Test.cancel("the Linux guest cannot be made here: apt-get download does not work")
        }
        try await withBench { bench in
            let binary = try guest.launcher(in: bench.directory)
            let host = try await bench.host {
                $0.binary = binary
                $0.machineType = ""
                $0.diskBus = .virtio
                $0.network = .user
            }
            let spec = try bench.spec(memoryMB: 160)
            try await host.createMachine(spec)
            _ = try await host.setState(spec.uuid, .running, deadline: Bench.limit)
            let console = try await ConsoleReader(host.openConsole(spec.uuid))
            try await eventually(timeout: Bench.limit, "the guest is up") { console.text.contains("devices done") }

            /// Runs a command in the guest until it prints the text.
            func guestSees(_ text: String, _ command: String) async throws {
                try await eventually(timeout: Bench.limit, "\(text) from \(command): \(console.text.suffix(400))") {
                    let start = console.text.count
                    try await host.writeConsole(spec.uuid, Array("sh \(command); echo done\n".utf8))
                    try await eventually(timeout: Bench.limit, "an answer") {
                        console.text.dropFirst(start).contains("\ndone")
                    }
                    return console.text.dropFirst(start).contains("\n" + text)
                }
            }
            let interface = NetworkInterface(
                id: "11111111-0000-4000-8000-000000000000",
                macAddress: "52:54:00:00:00:01"
            )
            try await host.attachInterface(interface, to: spec.uuid)
            try await guestSees("52:54:00:00:00:01", "cat /sys/class/net/eth*/address")
            try await host.detachInterface(id: interface.id, from: spec.uuid)
            try await guestSees("none", "ls /sys/class/net/eth* 2>/dev/null || echo none")
            #expect(try host.find(spec.uuid).record.spec.interfaces.isEmpty)

            let path = bench.directory + "/volume"
            try Data(count: 8 << 20).write(to: URL(filePath: path))
            let disk = DiskAttachment(
                role: .volume,
                path: path,
                format: "raw",
                address: DeviceAddress(bus: .scsi, controller: 0, unit: 3)
            )
            try await guestSees("ready", "insmod /mod/virtio_scsi.ko 2>/dev/null; echo ready")
            try await host.attachDisk(disk, to: spec.uuid)
            try await guestSees("16384", "cat /sys/class/block/sda/size")
            try await guestSees("wrote", "echo vmops was here >/dev/sda; sync; echo wrote")
            try await host.detachDisk(path: path, from: spec.uuid)
            #expect(try Data(contentsOf: URL(filePath: path)).starts(with: Data("vmops was here".utf8)))
            try await guestSees("none", "ls /dev/sda 2>/dev/null || echo none")

            let figures = try await host.diagnostics(spec.uuid)
            #expect((figures["memory_details"]?["used"]?.intValue ?? 0) > 30)
            #expect((figures["cpu_details"]?.arrayValue?.first?["time"]?.intValue ?? 0) > 100_000_000)
            _ = try await host.requestShutdown(spec.uuid, reason: "test")
            try await eventually(timeout: Bench.limit, "off") { try await host.machine(spec.uuid).state == .off }
        }
    }
}
