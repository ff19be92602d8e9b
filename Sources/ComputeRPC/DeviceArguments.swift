import HostBackend
import Support
import VMOps

/// Nova's network info and block device info, as far as a host needs them.
enum DeviceArguments {
    private static let mostDevices = 256

    static func interfaces(_ field: Field?) throws -> [NetworkInterface] {
        guard let field else { return [] }
        return try bounded(field).map(interface)
    }

    static func interface(_ field: Field) throws -> NetworkInterface {
        guard let id = field.member("id") else { throw field.invalid("needs id") }
        guard let address = field.member("address") else { throw field.invalid("needs address") }
        let network = field.member("network")
        return NetworkInterface(
            id: try identifier(id),
            macAddress: try macAddress(address),
            type: try field.member("type")?.string(limit: 64) ?? "bridge",
            bridge: try network?.member("bridge").map(interfaceName),
            deviceName: try field.member("devname").map(interfaceName),
            active: try field.member("active")?.bool() ?? true
        )
    }

    static func volumes(_ field: Field?) throws -> [VolumeConnection] {
        guard let mapping = field?.member("block_device_mapping") else { return [] }
        return try bounded(mapping).map { entry in
            guard let connection = entry.member("connection_info") else {
                throw entry.invalid("needs connection_info")
            }
            let device = try entry.member("mount_device")?.string(limit: 64)
            let isBoot = try entry.member("boot_index").map { try $0.integer(in: -1...mostDevices) == 0 } ?? false
            return try volume(connection, mountDevice: device, isBootVolume: isBoot)
        }
    }

    static func volume(_ field: Field, mountDevice: String?, isBootVolume: Bool) throws -> VolumeConnection {
        guard let type = field.member("driver_volume_type") else {
            throw field.invalid("needs driver_volume_type")
        }
        let data = try field.member("data")?.object() ?? [:]
        guard
            let id = field.member("serial") ?? field.member("volume_id")
                ?? field.member("data")?.member("volume_id")
        else { throw field.invalid("needs serial or volume_id") }
        return VolumeConnection(
            volumeID: try identifier(id),
            type: try type.string(limit: 64),
            data: Redacted(data),
            mountDevice: mountDevice,
            isBootVolume: isBootVolume
        )
    }

    /// Sizes in GB of the ephemeral disks that block device info lists; `nil` when it lists none.
    static func ephemerals(_ field: Field?) throws -> [Int]? {
        guard let list = field?.member("ephemerals") else { return nil }
        let sizes = try bounded(list).map { try $0.member("size")?.integer(in: 0...1_048_576) ?? 0 }
        return sizes.isEmpty ? nil : sizes
    }

    /// An id that may name a file: letters, digits, dot, dash and underscore, not starting with a dot.
    static func identifier(_ field: Field) throws -> String {
        let text = try field.string(limit: 128)
        let isPlain = text.utf8.allSatisfy { byte in
            switch byte {
            case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
                UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"), UInt8(ascii: "_"), UInt8(ascii: "."):
                true
            default: false
            }
        }
        guard isPlain, !text.isEmpty, !text.hasPrefix(".") else {
            throw field.invalid("is not a plain identifier")
        }
        return text
    }

    private static func bounded(_ field: Field) throws -> [Field] {
        let list = try field.list()
        guard list.count <= mostDevices else { throw field.invalid("has more than \(mostDevices) entries") }
        return list
    }

    /// Linux allows 15 bytes, without blanks and slashes.
    private static func interfaceName(_ field: Field) throws -> String {
        let text = try field.string(limit: 15)
        guard !text.isEmpty, text.utf8.allSatisfy({ $0 > 0x20 && $0 < 0x7F && $0 != UInt8(ascii: "/") }) else {
            throw field.invalid("is not a network device name")
        }
        return text
    }

    private static func macAddress(_ field: Field) throws -> String {
        let text = try field.string(limit: 17).lowercased()
        let parts = text.split(separator: ":", omittingEmptySubsequences: false)
        guard parts.count == 6, parts.allSatisfy({ $0.utf8.count == 2 && UInt8($0, radix: 16) != nil }) else {
            throw field.invalid("is not a MAC address")
        }
        return text
    }
}
