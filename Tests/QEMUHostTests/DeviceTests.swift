import DiskImages
import Foundation
import Glibc
import HostBackend
import HostConformance
import Support
import TestSupport
import Testing

@testable import QEMUHost

/// Devices of machines that run the tick guest, which lets go of SCSI disks and of nothing else.
@Suite(.timeLimit(.minutes(5)), .enabled(if: QEMUProgram.isInstalled, Comment(rawValue: QEMUProgram.missing)))
struct DeviceTests {
    private static func volume(_ bench: Bench, _ name: String = "volume", unit: Int = 0) throws -> DiskAttachment {
        let path = bench.directory + "/\(name).raw"
        try Data(count: 1 << 20).write(to: URL(filePath: path))
        return DiskAttachment(
            role: .volume,
            path: path,
            format: "raw",
            address: DeviceAddress(bus: .scsi, controller: 0, unit: unit),
            identifier: name
        )
    }

    private static func interface(_ number: Int) -> NetworkInterface {
        NetworkInterface(id: "\(number)0000000-0000-4000-8000-000000000000", macAddress: "52:54:00:00:00:0\(number)")
    }

    /// The names of what QEMU itself has.
    private static func present(_ machine: QEMUMachine) async throws -> Set<String> {
        let devices = try await machine.execute("qom-list", ["path": "/machine/peripheral"]).arrayValue ?? []
        let names = devices.compactMap { $0["name"]?.stringValue } + (try await nodes(machine))
        return Set(names.filter { ["dev-scsi", "disk-scsi", "nic-"].contains(where: $0.hasPrefix) })
    }

    private static func nodes(_ machine: QEMUMachine) async throws -> [String] {
        try await machine.nodes().compactMap { $0["node-name"]?.stringValue }
    }

    @Test func aDiskComesAndGoesWhileTheGuestRunsOrIsPaused() async throws {
        try await withBench { bench in
            let host = try await bench.host()
            let (spec, console) = try await bench.running(on: host)
            let machine = try host.find(spec.uuid)
            for target in [TargetState.running, .paused] {
                _ = try await host.setState(spec.uuid, target, deadline: Bench.limit)
                let disk = try Self.volume(bench)
                for _ in 0..<2 { try await host.attachDisk(disk, to: spec.uuid) }
                #expect(try await Self.present(machine) == ["dev-scsi0-0", "disk-scsi0-0"])
                #expect(machine.record.spec.disks.contains(disk))
                for _ in 0..<2 { try await host.detachDisk(path: disk.path, from: spec.uuid) }
                #expect(try await Self.present(machine).isEmpty)
                #expect(machine.record.spec == spec)
            }
            _ = try await host.setState(spec.uuid, .running, deadline: Bench.limit)
            let before = console.text.count
            try await eventually("more ticks") { console.text.dropFirst(before).contains("tick") }
        }
    }

    @Test func whatIsAttachedStaysOverPowerCyclesSuspensionAndWorkers() async throws {
        try await withBench { bench in
            var host = try await bench.host { $0.network = .user }
            let (spec, _) = try await bench.running(on: host)
            let disk = try Self.volume(bench)
            try await host.attachDisk(disk, to: spec.uuid)
            // The second interface keeps its place when the first one goes and a third one takes that.
            _ = try await host.setState(spec.uuid, .off, deadline: Bench.limit)
            for number in [1, 2] { try await host.attachInterface(Self.interface(number), to: spec.uuid) }
            try await host.detachInterface(id: Self.interface(1).id, from: spec.uuid)
            _ = try await host.setState(spec.uuid, .running, deadline: Bench.limit)
            for _ in 0..<2 { try await host.attachInterface(Self.interface(3), to: spec.uuid) }
            let names: Set = ["dev-scsi0-0", "disk-scsi0-0", "nic-20000000000", "nic-30000000000"]
            #expect(try await Self.present(host.find(spec.uuid)) == names)

            #expect(try await host.setState(spec.uuid, .saved, deadline: Bench.limit) == .saved)
            let refused = await code { try await host.detachDisk(path: disk.path, from: spec.uuid) }
            #expect(refused == .invalidState, "its memory knows the disk")
            await host.disconnect()
            host = try await bench.host { $0.network = .user }
            #expect(try await host.setState(spec.uuid, .running, deadline: Bench.limit) == .running)
            #expect(try await Self.present(host.find(spec.uuid)) == names)
            try await ConsoleReader(host.openConsole(spec.uuid)).until("tick")

            _ = try await host.setState(spec.uuid, .off, deadline: Bench.limit)
            try await host.detachDisk(path: disk.path, from: spec.uuid)
            for number in [2, 3] {
                try await host.detachInterface(id: Self.interface(number).id, from: spec.uuid)
            }
            #expect(try host.find(spec.uuid).record.spec == spec)
            #expect(try host.find(spec.uuid).record.slots.isEmpty)
        }
    }

    @Test func anAttachmentThatFailsLeavesNothing() async throws {
        try await withBench { bench in
            let host = try await bench.host()
            let (spec, _) = try await bench.running(on: host)
            let machine = try host.find(spec.uuid)
            let disk = try Self.volume(bench)
            var missing = disk
            missing.path += ".missing"
            #expect(await code { try await host.attachDisk(missing, to: spec.uuid) } != nil)
            // The file can be opened; the device cannot be made, for its format is another.
            var wrong = disk
            wrong.format = "qcow2"
            #expect(await code { try await host.attachDisk(wrong, to: spec.uuid) } != nil)
            // The address is taken by something that is not ours.
            try await machine.execute("blockdev-add", ["driver": "null-co", "node-name": "other", "size": 1_048_576])
            try await machine.execute(
                "device_add",
                ["driver": "scsi-hd", "bus": "scsi0.0", "scsi-id": 0, "drive": "other", "id": "other"]
            )
            #expect(await code { try await host.attachDisk(disk, to: spec.uuid) } != nil)
            #expect(try await Self.present(machine).isEmpty)
            #expect(machine.record.spec == spec)
            var taken = disk
            taken.address = spec.disks[0].address
            #expect(await code { try await host.attachDisk(taken, to: spec.uuid) } == .invalidArgument)
            var elsewhere = disk
            elsewhere.address = DeviceAddress(bus: .ide, controller: 1, unit: 1)
            #expect(await code { try await host.attachDisk(elsewhere, to: spec.uuid) } == .invalidState)
        }
    }

    /// As when a worker is killed between a command and the record of it.
    @Test func whatAnEarlierWorkerBeganIsFinishedOrTakenBack() async throws {
        try await withBench { bench in
            let host = try await bench.host { $0.network = .user }
            let (spec, _) = try await bench.running(on: host)
            let machine = try host.find(spec.uuid)
            let disk = try Self.volume(bench)
            let device = try disk.device(.ide, machine.record.platform)
            try await machine.execute("blockdev-add", disk.node)
            try await host.attachDisk(disk, to: spec.uuid)
            try await host.detachDisk(path: disk.path, from: spec.uuid)

            try await machine.execute("blockdev-add", disk.node)
            try await machine.execute("device_add", device)
            try await host.attachDisk(disk, to: spec.uuid)
            #expect(try await Self.present(machine) == ["dev-scsi0-0", "disk-scsi0-0"])

            // Gone from QEMU, and still in the record.
            try await machine.removeDevice(disk.deviceName)
            try await host.attachDisk(disk, to: spec.uuid)
            #expect(try await Self.present(machine) == ["dev-scsi0-0", "disk-scsi0-0"])
            try await machine.removeDevice(disk.deviceName)
            try await host.detachDisk(path: disk.path, from: spec.uuid)
            #expect(try await Self.present(machine).isEmpty)

            try await machine.execute("blockdev-add", disk.node)
            try await machine.execute("device_add", device)
            try await host.detachDisk(path: disk.path, from: spec.uuid)
            #expect(try await Self.present(machine).isEmpty)

            let interface = Self.interface(1)
            try await machine.execute("netdev_add", try #require(interface.backend(.user)))
            try await host.attachInterface(interface, to: spec.uuid)
            #expect(try await Self.present(machine) == [interface.deviceID])
        }
    }

    @Test func aGuestThatDoesNotLetGoKeepsItsInterface() async throws {
        try await withBench { bench in
            let host = try await bench.host {
                $0.network = .user
                $0.unplugTimeout = .milliseconds(200)
            }
            let (spec, console) = try await bench.running(on: host)
            let interface = Self.interface(1)
            try await host.attachInterface(interface, to: spec.uuid)
            #expect(await code { try await host.detachInterface(id: interface.id, from: spec.uuid) } == .timeout)
            let machine = try host.find(spec.uuid)
            #expect(try await Self.present(machine) == [interface.deviceID])
            #expect(machine.record.spec.interfaces == [interface])
            _ = try await host.setState(spec.uuid, .paused, deadline: Bench.limit)
            #expect(await code { try await host.detachInterface(id: interface.id, from: spec.uuid) } == .invalidState)
            _ = try await host.setState(spec.uuid, .running, deadline: Bench.limit)
            try await console.until("tick")
        }
    }

    @Test func interfacesOfAHostWithoutNetworkAreInTheRecordAlone() async throws {
        try await withBench { bench in
            let host = try await bench.host()
            let (spec, _) = try await bench.running(on: host)
            let interface = Self.interface(1)
            try await host.plugInterface(interface, of: spec.uuid)
            try await host.attachInterface(interface, to: spec.uuid)
            #expect(try host.find(spec.uuid).record.spec.interfaces == [interface])
            try await host.detachInterface(id: interface.id, from: spec.uuid)
            #expect(try host.find(spec.uuid).record.spec == spec)
        }
    }

    /// All of it once more by a QEMU that has no rights but to its own files.
    @Test(.enabled(if: geteuid() == 0, "only root can run QEMU as somebody else"))
    func anotherUserGetsWhatIsInTheInstancesDirectoryAndNothingElse() async throws {
        try await withBench { bench in
            try FileManager.default.setAttributes([.posixPermissions: 0o711], ofItemAtPath: bench.directory)
            let host = try await bench.host {
                $0.user = "nobody"
                $0.network = .user
            }
            let (spec, console) = try await bench.running(on: host)
            let machine = try host.find(spec.uuid)
            var disk = try Self.volume(bench)
            chmod(disk.path, 0o600)
            #expect(await code { try await host.attachDisk(disk, to: spec.uuid) } == .unauthorized)
            #expect(try await Self.present(machine).isEmpty)
            let own = spec.directory + "/own.raw"
            try FileManager.default.moveItem(atPath: disk.path, toPath: own)
            disk.path = own
            try await host.attachDisk(disk, to: spec.uuid)
            try await host.attachInterface(Self.interface(1), to: spec.uuid)
            #expect(try await Self.present(machine).count == 3)
            try await host.detachDisk(path: own, from: spec.uuid)
            // The directory of images is closed to it, and an export gets there nevertheless.
            let closed = bench.directory + "/closed"
            try FileManager.default.createDirectory(
                atPath: closed,
                withIntermediateDirectories: false,
                attributes: [.posixPermissions: 0o700]
            )
            let info = try await host.exportRootDisk(spec.uuid, to: closed + "/a", format: "raw")
            #expect(info.virtualSize == 1 << 20)
            let start = try TickGuest.program()
            #expect(try Data(contentsOf: URL(filePath: closed + "/a")).starts(with: start))
            let before = console.text.count
            try await eventually("more ticks") { console.text.dropFirst(before).contains("tick") }
        }
    }

    @Test func volumesAreFilesAndBlockDevicesAndNothingElse() async throws {
        try await withBench { bench in
            let host = try await bench.host()
            func connect(_ data: JSONObject, type: String = "file") async throws -> String {
                try await host.connectVolume(VolumeConnection(volumeID: "v", type: type, data: Redacted(data)))
            }
            let file = try Self.volume(bench).path
            let link = bench.directory + "/link"
            try FileManager.default.createSymbolicLink(atPath: link, withDestinationPath: file)
            let real = URL(filePath: file).resolvingSymlinksInPath().path
            #expect(try await connect(["device_path": .string(link)]) == real)
            #expect(try await connect(["path": .string(file)], type: "local") == real)
            let overlay = bench.directory + "/overlay.qcow2"
            _ = try await runCommand("qemu-img", ["create", "-q", "-f", "qcow2", "-b", file, "-F", "raw", overlay])
            let wrong: [(JSONObject, String, BackendError.Code)] = [
                (["device_path": .string(file)], "iscsi", .unimplemented),
                ([:], "file", .invalidArgument),
                (["device_path": "relative"], "file", .invalidArgument),
                (["device_path": "/dev/null"], "file", .invalidArgument),
                (["device_path": .string(bench.directory)], "file", .invalidArgument),
                (["device_path": .string(file + ".missing")], "file", .notFound),
                (["device_path": .string(file), "format": "qcow2"], "file", .invalidArgument),
                (["device_path": .string(file), "format": "vmdk"], "file", .invalidArgument),
                (["device_path": .string(overlay), "format": "qcow2"], "file", .invalidArgument),
            ]
            for (data, type, expected) in wrong {
                #expect(await code { _ = try await connect(data, type: type) } == expected, "\(data) \(type)")
            }
        }
    }
}
