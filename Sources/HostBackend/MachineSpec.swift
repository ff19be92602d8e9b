package import Support

/// Where a device sits (VM operations, section 6.6).
package struct DeviceAddress: Sendable, Hashable {
    package enum Bus: String, Sendable {
        case ide, scsi, virtio
    }

    package var bus: Bus
    package var controller: Int
    package var unit: Int

    package init(bus: Bus, controller: Int, unit: Int) {
        self.bus = bus
        self.controller = controller
        self.unit = unit
    }
}

package struct DiskAttachment: Sendable, Hashable {
    package enum Role: String, Sendable {
        case root, ephemeral, configDrive, volume
    }

    package enum Media: String, Sendable {
        case disk, cdrom
    }

    package var role: Role
    package var media: Media
    package var path: String
    package var format: String
    package var address: DeviceAddress
    /// Volume id, for volumes.
    package var identifier: String?

    package init(
        role: Role,
        media: Media = .disk,
        path: String,
        format: String,
        address: DeviceAddress,
        identifier: String? = nil
    ) {
        self.role = role
        self.media = media
        self.path = path
        self.format = format
        self.address = address
        self.identifier = identifier
    }
}

/// A network interface as Nova's network info describes it.
package struct NetworkInterface: Sendable, Hashable {
    /// The VIF id.
    package var id: String
    /// Lower case, with colons.
    package var macAddress: String
    /// Nova's VIF type: `bridge`, `ovs`, `tap`, `hyperv`, …
    package var type: String
    package var bridge: String?
    package var deviceName: String?
    package var active: Bool

    package init(
        id: String,
        macAddress: String,
        type: String = "bridge",
        bridge: String? = nil,
        deviceName: String? = nil,
        active: Bool = true
    ) {
        self.id = id
        self.macAddress = macAddress
        self.type = type
        self.bridge = bridge
        self.deviceName = deviceName
        self.active = active
    }
}

/// A volume connection as Nova's block device info carries it.
package struct VolumeConnection: Sendable, Hashable {
    package var volumeID: String
    /// `driver_volume_type`: `file`, `iscsi`, …
    package var type: String
    /// The connection's data, which may hold credentials.
    package var data: Redacted<JSONObject>
    /// The device name asked for, such as `/dev/sdb`.
    package var mountDevice: String?
    package var isBootVolume: Bool

    package init(
        volumeID: String,
        type: String,
        data: Redacted<JSONObject>,
        mountDevice: String? = nil,
        isBootVolume: Bool = false
    ) {
        self.volumeID = volumeID
        self.type = type
        self.data = data
        self.mountDevice = mountDevice
        self.isBootVolume = isBootVolume
    }
}

/// Everything a host needs to define a machine.
package struct MachineSpec: Sendable, Hashable {
    package var uuid: InstanceUUID
    package var name: String
    /// The instance's own directory; every file of the machine lives below it.
    package var directory: String
    package var memoryMB: Int
    /// What the machine gets when it starts: less than `memoryMB` with a dynamic memory ratio above 1.
    package var startupMemoryMB: Int
    package var vcpus: Int
    package var limitCPUFeatures: Bool
    package var enableMetrics: Bool
    package var disks: [DiskAttachment]
    package var interfaces: [NetworkInterface]
    /// Free-form instance metadata; the simulated host reads its guest's behaviour from it.
    package var metadata: [String: String]

    package init(
        uuid: InstanceUUID,
        name: String,
        directory: String,
        memoryMB: Int,
        startupMemoryMB: Int? = nil,
        vcpus: Int,
        limitCPUFeatures: Bool = false,
        enableMetrics: Bool = false,
        disks: [DiskAttachment] = [],
        interfaces: [NetworkInterface] = [],
        metadata: [String: String] = [:]
    ) {
        self.uuid = uuid
        self.name = name
        self.directory = directory
        self.memoryMB = memoryMB
        self.startupMemoryMB = startupMemoryMB ?? memoryMB
        self.vcpus = vcpus
        self.limitCPUFeatures = limitCPUFeatures
        self.enableMetrics = enableMetrics
        self.disks = disks
        self.interfaces = interfaces
        self.metadata = metadata
    }
}
