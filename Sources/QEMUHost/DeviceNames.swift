import DiskImages
import HostBackend
import Support

/// How devices are called in QEMU. Names come from addresses and ids, so that those of a machine that was started by an
/// earlier worker, or that gets a device while it runs, are the same.
enum DeviceNames {
    static let scsiController = "scsi0"

    /// The root disk first: a firmware that knows no boot order takes the first.
    static func bootOrder(_ disks: [DiskAttachment]) -> [DiskAttachment] {
        disks.filter { $0.role == .root } + disks.filter { $0.role != .root }
    }
}

extension DiskAttachment {
    private var place: String { "\(address.bus.rawValue)\(address.controller)-\(address.unit)" }

    /// The name of its node in QEMU's block layer.
    var nodeName: String { "disk-\(place)" }
    /// The name of the device that the guest sees.
    var deviceName: String { "dev-\(place)" }
    /// Config drives and other CD-ROMs are never written to.
    var isReadOnly: Bool { media == .cdrom }

    /// What `-blockdev` and `blockdev-add` take.
    var node: JSONObject {
        // The driver for files refuses block devices, and the other way round.
        let isDevice = path.hasPrefix("/dev/") && !path.hasPrefix("/dev/shm/")
        var file: JSONObject = ["driver": isDevice ? "host_device" : "file", "filename": .string(path)]
        if isReadOnly { file["read-only"] = true }
        var node: JSONObject = [
            "driver": .string(DiskFormat(name: format)?.rawValue ?? format),
            "node-name": .string(nodeName),
            "file": .object(file),
        ]
        if isReadOnly { node["read-only"] = true } else { node["discard"] = "unmap" }
        return node
    }

    /// What `-device` and `device_add` take.
    ///
    /// - Parameter bootIndex: its place in the firmware's boot order, from 1; `nil` = not in it.
    func device(
        _ preferred: QEMUSettings.DiskBus,
        _ platform: Platform,
        bootIndex: Int? = nil
    ) throws(BackendError) -> JSONObject {
        var device: JSONObject
        switch (address.bus, preferred) {
        case (.ide, .ide):
            let bus = Self.ideBus(address, platform)
            device = [
                "driver": media == .cdrom ? "ide-cd" : "ide-hd",
                "bus": .string(bus.name), "unit": .int(Int64(bus.unit)),
            ]
        case (.scsi, _):
            guard address.controller == 0, (0..<256).contains(address.unit) else {
                throw BackendError(.invalidArgument, "there is no SCSI address \(address.controller):\(address.unit)")
            }
            device = [
                "driver": media == .cdrom ? "scsi-cd" : "scsi-hd",
                "bus": .string(DeviceNames.scsiController + ".0"),
                // Without a number a taken address would not be refused.
                "scsi-id": .int(Int64(address.unit)), "lun": 0,
            ]
        case (.ide, .virtio), (.virtio, _):
            device = ["driver": "virtio-blk-pci"]
        }
        device["drive"] = .string(nodeName)
        device["id"] = .string(deviceName)
        if let bootIndex { device["bootindex"] = .int(Int64(bootIndex)) }
        return device
    }

    /// The chipset of `q35` has six ports with one disk each, the older ones two channels with two.
    private static func ideBus(_ address: DeviceAddress, _ platform: Platform) -> (name: String, unit: Int) {
        if platform.machineType.contains("q35") {
            return ("ide.\(address.controller * 2 + address.unit)", 0)
        }
        return ("ide.\(address.controller)", address.unit)
    }
}

extension NetworkInterface {
    /// Linux interface names have at most 15 bytes.
    private static let longestName = 15

    /// What both of its QEMU names end in.
    private var shortID: String { String(id.filter { $0.isASCII && $0.isHexDigit }.prefix(11)) }

    var backendName: String { "net-\(shortID)" }
    var deviceID: String { "nic-\(shortID)" }
    /// The host's end of a TAP interface.
    var tapName: String { deviceName ?? String("tap\(shortID)".prefix(Self.longestName)) }

    /// What `-netdev` and `netdev_add` take; `nil` when there is nothing to connect to.
    func backend(_ network: QEMUSettings.Network) -> JSONObject? {
        switch network {
        case .none: nil
        case .user: ["type": "user", "id": .string(backendName)]
        case .tap:
            [
                "type": "tap", "id": .string(backendName), "ifname": .string(tapName),
                "script": "no", "downscript": "no",
            ]
        }
    }

    /// What `-device` and `device_add` take.
    func device(slot: Int, _ platform: Platform) -> JSONObject {
        var device: JSONObject = [
            "driver": "virtio-net-pci", "netdev": .string(backendName), "id": .string(deviceID),
            "mac": .string(macAddress),
        ]
        for (key, value) in InterfaceSlots.place(slot, platform) { device[key] = value }
        return device
    }
}
