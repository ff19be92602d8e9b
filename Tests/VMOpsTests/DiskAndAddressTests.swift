import HostBackend
import Testing

@testable import VMOps

@Suite struct RootDiskPlanTests {
    private static let image = ImageInfo(
        reference: "cirros",
        path: "/images/cirros.qcow2",
        format: "qcow2",
        virtualSize: 2 << 30
    )

    private func plan(
        rootGB: Int,
        copyOnWrite: Bool,
        flags: Set<Capability>,
        image: ImageInfo? = Self.image
    ) throws -> RootDiskPlan? {
        try RootDiskPlan.plan(
            image: image,
            rootGB: rootGB,
            copyOnWrite: copyOnWrite,
            capabilities: HostCapabilities(flags: flags, diskFormats: ["qcow2", "raw"])
        )
    }

    @Test func aFlavorSmallerThanTheImageIsRefusedWithBothSizes() throws {
        let error = try #require(throws: OperationError.self) {
            try plan(rootGB: 1, copyOnWrite: true, flags: [.copyOnWriteDisks, .resizeDifferencing])
        }
        #expect(error.code == .flavorDiskSmallerThanImage)
        #expect(error.details == ["flavor_size": "1073741824", "image_size": "2147483648"])
    }

    @Test func anImageOfExactlyTheFlavorsSizeIsNotResized() throws {
        let plan = try plan(rootGB: 2, copyOnWrite: true, flags: [.copyOnWriteDisks])
        #expect(plan == RootDiskPlan(source: .overlay(Self.image), format: "qcow2", virtualSize: nil))
    }

    @Test func zeroMeansAsLargeAsTheImage() throws {
        let plan = try plan(rootGB: 0, copyOnWrite: false, flags: [])
        #expect(plan == RootDiskPlan(source: .copy(Self.image), format: "qcow2", virtualSize: nil))
    }

    @Test func aLayerGrowsOnlyWhereTheHostCan() throws {
        let can = try plan(rootGB: 5, copyOnWrite: true, flags: [.copyOnWriteDisks, .resizeDifferencing])
        #expect(can == RootDiskPlan(source: .overlay(Self.image), format: "qcow2", virtualSize: 5 << 30))
        let cannot = try plan(rootGB: 5, copyOnWrite: true, flags: [.copyOnWriteDisks])
        #expect(cannot == RootDiskPlan(source: .copy(Self.image), format: "qcow2", virtualSize: 5 << 30))
    }

    @Test func withoutAnImageTheDiskIsBlankOrAbsent() throws {
        let blank = try plan(rootGB: 3, copyOnWrite: true, flags: [], image: nil)
        #expect(blank == RootDiskPlan(source: .blank, format: "qcow2", virtualSize: 3 << 30))
        #expect(try plan(rootGB: 0, copyOnWrite: true, flags: [], image: nil) == nil)
    }
}

@Suite struct DeviceAddressesTests {
    /// Root disk or root volume, with 0 to 2 ephemerals and 0 to 3 further volumes: no address twice, and the fixed
    /// ones where they belong.
    @Test(arguments: [false, true], [0, 1, 2])
    func addressesAreFixedAndDistinct(bootFromVolume: Bool, ephemerals: Int) throws {
        for volumes in 0...3 {
            var addresses = DeviceAddresses()
            var all = [bootFromVolume ? try addresses.volume(boot: true) : addresses.root()]
            for number in 0..<ephemerals { all.append(try addresses.ephemeral(number)) }
            for _ in 0..<volumes { all.append(try addresses.volume(boot: false)) }
            #expect(Set(all).count == all.count)
            #expect(all[0] == DeviceAddress(bus: .ide, controller: 0, unit: 0))
            if ephemerals > 0 { #expect(all[1] == DeviceAddress(bus: .ide, controller: 0, unit: 1)) }
            if ephemerals > 1 { #expect(all[2] == DeviceAddress(bus: .scsi, controller: 0, unit: 0)) }
        }
    }

    @Test func theSixtyFifthSCSIDeviceIsRefused() throws {
        var addresses = DeviceAddresses()
        for unit in 0..<64 { #expect(try addresses.volume(boot: false).unit == unit) }
        let error = #expect(throws: OperationError.self) { try addresses.volume(boot: false) }
        #expect(error?.code == .volumeAttachFailed)
    }
}
