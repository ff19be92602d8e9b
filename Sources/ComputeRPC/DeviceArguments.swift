package import HostBackend
import Support
import VMOps

/// Nova's network info and block device info, as far as a host needs them.
package enum DeviceArguments {
    private static let mostDevices = 256

    /// The interfaces of a network info; none without one.
    package static func interfaces(_ field: Field?) throws -> [NetworkInterface] {
        guard let field else { return [] }
        return try bounded(field).map(interface)
    }

    /// One interface of a network info.
    package static func interface(_ field: Field) throws -> NetworkInterface {
        guard let id = field.member("id") else { throw field.invalid("needs id") }
        guard let address = field.member("address") else { throw field.invalid("needs address") }
        let network = field.member("network")
        return NetworkInterface(
            id: try identifier(id),
            macAddress: try macAddress(address),
            type: try field.member("type").map(word) ?? "bridge",
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
            let device = try entry.member("mount_device").map(deviceName)
            let isBoot = try entry.member("boot_index").map { try $0.integer(in: -1...mostDevices) == 0 } ?? false
            return try volume(connection, mountDevice: device, isBootVolume: isBoot)
        }
    }

    /// A volume by its connection info.
    package static func volume(_ field: Field, mountDevice: String?, isBootVolume: Bool) throws -> VolumeConnection {
        guard let type = field.member("driver_volume_type") else {
            throw field.invalid("needs driver_volume_type")
        }
        let data = try field.member("data")?.object() ?? [:]
        guard data.count <= mostDevices else { throw field.invalid("has more than \(mostDevices) members of data") }
        guard
            let id = field.member("serial") ?? field.member("volume_id")
                ?? field.member("data")?.member("volume_id")
        else { throw field.invalid("needs serial or volume_id") }
        return VolumeConnection(
            volumeID: try identifier(id),
            type: try word(type),
            data: Redacted(try checked(data, field)),
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

    /// An id that may name a file: letters, digits, dot, dash and underscore, not starting with a dot or
    /// a dash.
    package static func identifier(_ field: Field) throws -> String {
        let text = try field.string(limit: 128)
        guard isPlain(text, and: "-_.") else {
            throw field.invalid("is not a plain identifier")
        }
        return text
    }

    /// The name of a type or format: letters, digits, dot, dash and underscore, not starting with a dot or a dash.
    private static func word(_ field: Field) throws -> String {
        let text = try field.string(limit: 64)
        guard isPlain(text, and: "-_.") else { throw field.invalid("is not a plain word") }
        return text
    }

    /// Such as `/dev/sdb` or `sdb`; it names a place in the guest and is never opened here.
    package static func deviceName(_ field: Field) throws -> String {
        let text = try field.string(limit: 64)
        let name = text.hasPrefix("/dev/") ? text.dropFirst(5) : text[...]
        guard text.isEmpty || isPlain(name, and: "-_.") else {
            throw field.invalid("is not a device name")
        }
        return text
    }

    /// What of a connection's data ends in a description of a disk.
    private static func checked(_ data: JSONObject, _ field: Field) throws -> JSONObject {
        if let format = field.member("data")?.member("format") {
            let name = try format.string(limit: 64)
            guard diskFormats.contains(name) else { throw format.invalid("must be one of \(diskFormats)") }
        }
        return data
    }

    private static let diskFormats = ["raw", "qcow2", "vhdx", "vpc"]

    private static func isPlain(_ text: some StringProtocol, and others: String) -> Bool {
        guard let first = text.utf8.first, first != UInt8(ascii: "-"), first != UInt8(ascii: ".") else { return false }
        return text.utf8.allSatisfy { byte in
            switch byte {
            case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
                UInt8(ascii: "0")...UInt8(ascii: "9"):
                true
            default: others.utf8.contains(byte)
            }
        }
    }

    private static func bounded(_ field: Field) throws -> [Field] {
        let list = try field.list()
        guard list.count <= mostDevices else { throw field.invalid("has more than \(mostDevices) entries") }
        return list
    }

    /// Linux allows 15 bytes. Of the characters it allows, those are taken that no program gives a meaning to.
    private static func interfaceName(_ field: Field) throws -> String {
        let text = try field.string(limit: 15)
        guard isPlain(text, and: "-_.:@") else {
            throw field.invalid("is not a network device name")
        }
        return text
    }

    private static func macAddress(_ field: Field) throws -> String {
        let text = try field.string(limit: 17).lowercased()
        let parts = text.split(separator: ":", omittingEmptySubsequences: false)
        guard parts.count == 6,
            parts.allSatisfy({ $0.utf8.count == 2 && $0.allSatisfy(\.isHexDigit) && $0.utf8.allSatisfy { $0 < 0x80 } })
        else {
            throw field.invalid("is not a MAC address")
        }
        return text
    }
}
