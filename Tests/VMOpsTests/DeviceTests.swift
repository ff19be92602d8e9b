import Foundation
import HostBackend
import SimulatedHost
import Support
import TestSupport
import Testing

@testable import VMOps

@Suite(.timeLimit(.minutes(5))) struct DeviceTests {
    private func plan(_ primitive: Primitive, after: Bool) -> (inout TestHost.Options) -> Void {
        { options in
            options.simulated.plan.faults[primitive] = [
                FaultRule(when: .nth(1), what: .fail(.internal), after: after)
            ]
        }
    }

    @Test func volumesComeAndGo() async throws {
        try await TestWorld.withHost { host in
            let uuid = try await host.spawn()
            let volume = try host.world.volume()
            for _ in 0..<2 { try await host.operations.attachVolume(uuid, volume, host.context) }
            let disks = try await host.record(uuid)?.disks
            #expect(disks?.map(\.identifier) == ["volume-1"])
            #expect(disks?.first?.address == DeviceAddress(bus: .scsi, controller: 0, unit: 0))
            #expect(host.world.simulated.connectedVolumes.count == 1)
            for _ in 0..<2 { try await host.operations.detachVolume(uuid, volume, host.context) }
            #expect(try await host.record(uuid)?.disks == [])
            #expect(host.world.simulated.connectedVolumes.isEmpty)
        }
    }

    @Test(arguments: [Primitive.connectVolume, .attachDisk], [false, true])
    func aVolumeThatCannotBeAttachedLeavesNothing(_ primitive: Primitive, after: Bool) async throws {
        try await TestWorld.withHost(plan(primitive, after: after)) { host in
            let uuid = try await host.spawn()
            let volume = try host.world.volume()
            let failure = try await errorClass { try await host.operations.attachVolume(uuid, volume, host.context) }
            #expect(failure == "VolumeAttachFailed")
            #expect(host.world.simulated.connectedVolumes.isEmpty)
            #expect(try await host.record(uuid)?.disks == [])
            try await host.operations.attachVolume(uuid, volume, host.context)
            #expect(try await host.record(uuid)?.disks.count == 1)
        }
    }

    @Test(arguments: [Primitive.detachDisk, .disconnectVolume], [false, true])
    func aDetachThatFailedIsFinishedByItsRepetition(_ primitive: Primitive, after: Bool) async throws {
        try await TestWorld.withHost(plan(primitive, after: after)) { host in
            let uuid = try await host.spawn()
            let volume = try host.world.volume()
            try await host.operations.attachVolume(uuid, volume, host.context)
            let failure = try await errorClass { try await host.operations.detachVolume(uuid, volume, host.context) }
            #expect(failure == "NovaException")
            try await host.operations.detachVolume(uuid, volume, host.context)
            #expect(host.world.simulated.connectedVolumes.isEmpty)
            #expect(try await host.record(uuid)?.disks == [])
        }
    }

    @Test func interfacesComeAndGo() async throws {
        try await TestWorld.withHost { host in
            let uuid = try await host.spawn()
            let interface = NetworkInterface(id: "vif-9", macAddress: "fa:16:3e:00:00:09")
            for _ in 0..<2 { try await host.operations.attachInterface(uuid, interface, host.context) }
            #expect(try await host.record(uuid)?.interfaces == [interface])
            #expect(host.world.simulated.pluggedInterfaces.count == 1)
            for _ in 0..<2 { try await host.operations.detachInterface(uuid, id: "vif-9", host.context) }
            #expect(try await host.record(uuid)?.interfaces == [])
            #expect(host.world.simulated.pluggedInterfaces.isEmpty)
        }
    }

    @Test(arguments: [Primitive.plugInterface, .attachInterface], [false, true])
    func anInterfaceThatCannotBeAttachedLeavesNothing(_ primitive: Primitive, after: Bool) async throws {
        try await TestWorld.withHost(plan(primitive, after: after)) { host in
            let uuid = try await host.spawn()
            let interface = NetworkInterface(id: "vif-9", macAddress: "fa:16:3e:00:00:09")
            let failure = try await errorClass {
                try await host.operations.attachInterface(uuid, interface, host.context)
            }
            #expect(failure == "InterfaceAttachFailed")
            #expect(host.world.simulated.pluggedInterfaces.isEmpty)
            try await host.operations.attachInterface(uuid, interface, host.context)
            #expect(host.world.simulated.pluggedInterfaces.count == 1)
        }
    }

    @Test func withoutHotPlugOnlyAMachineThatIsOffChanges() async throws {
        try await TestWorld.withHost({ $0.simulated.withoutCapabilities = ["machine.hotplug.nic"] }) { host in
            let uuid = try await host.spawn()
            let interface = NetworkInterface(id: "vif-9", macAddress: "fa:16:3e:00:00:09")
            let failure = try await errorClass {
                try await host.operations.attachInterface(uuid, interface, host.context)
            }
            #expect(failure == "InterfaceAttachFailed")
            _ = try await host.powerOff(uuid)
            try await host.operations.attachInterface(uuid, interface, host.context)
        }
    }

    @Test func aSnapshotIsAnImageAndNeverReplacesOne() async throws {
        try await TestWorld.withHost { host in
            try host.world.image()
            let uuid = try await host.spawn(image: "image")
            let marks = try await host.marks(uuid)
            let disk = try await host.operations.snapshot(uuid, image: "snap", host.context)
            #expect(disk.virtualSize == 1 << 20)
            #expect(host.exists(disk.path))
            let again = try await errorClass {
                _ = try await host.operations.snapshot(uuid, image: "snap", host.context)
            }
            #expect(again == "ImageUnacceptable")
            #expect(try await host.marks(uuid) == marks)
            #expect(try await host.isCaptured(uuid))
            try await host.spawn(image: "snap")
            let images = try FileManager.default.contentsOfDirectory(atPath: host.world.directory + "/images")
            #expect(!images.contains { $0.hasSuffix(".partial") })
        }
    }

    @Test func aSnapshotThatFailsLeavesNoFile() async throws {
        try await TestWorld.withHost(plan(.exportRootDisk, after: true)) { host in
            try host.world.image()
            let uuid = try await host.spawn(image: "image")
            let failure = try await errorClass {
                _ = try await host.operations.snapshot(uuid, image: "snap", host.context)
            }
            #expect(failure == "NovaException")
            #expect(
                try FileManager.default.contentsOfDirectory(atPath: host.world.directory + "/images") == ["image.raw"]
            )
            _ = try await host.operations.snapshot(uuid, image: "snap", host.context)
        }
    }

    @Test func withoutADiskThereIsNothingToSnapshot() async throws {
        try await TestWorld.withHost { host in
            let uuid = try await host.spawn()
            let failure = try await errorClass {
                _ = try await host.operations.snapshot(uuid, image: "snap", host.context)
            }
            #expect(failure == "InstanceUnacceptable")
        }
    }
}
