import HostBackend

/// File formats of disks, under the names that qemu-img gives them.
package enum DiskFormat: String, Sendable, Hashable, CaseIterable {
    case raw, qcow2, vhdx, vpc

    /// From a name or an extension; `nil` for anything that is not accepted.
    package init?(name: String) {
        switch name.lowercased() {
        case "raw", "img", "iso": self = .raw
        case "qcow2": self = .qcow2
        case "vhdx": self = .vhdx
        case "vhd", "vpc": self = .vpc
        default: return nil
        }
    }

    /// Whether a file of this format can be a layer over another.
    package var canHaveBacking: Bool { self == .qcow2 }
}

/// What the first and last bytes of a disk file say about it.
package struct DiskHeader: Sendable, Hashable {
    package var format: DiskFormat
    /// Bytes the guest sees; `nil` where the header does not say it in a fixed place (VHDX).
    package var virtualSize: UInt64?
    /// Where the name of the backing file stands in the file.
    package var backingName: Range<UInt64>?
    package var isEncrypted = false
    /// The data lie in another file than this one.
    package var hasDataFile = false

    static let prefixLength = 1024
    static let footerLength = 512

    /// Formats that would otherwise pass for raw ones; such a file is refused instead of being handed to a guest.
    private static let refused: [(name: String, offset: Int, signature: [UInt8])] = [
        ("VMDK", 0, Array("KDMV".utf8)),
        ("VMDK descriptor", 0, Array("# Disk Descriptor".utf8)),
        ("QED", 0, Array("QED\0".utf8)),
        ("LUKS", 0, Array("LUKS".utf8) + [0xBA, 0xBE]),
        ("VDI", 64, [0x7F, 0x10, 0xDA, 0xBE]),
        ("gzip", 0, [0x1F, 0x8B]),
        ("xz", 0, [0xFD] + Array("7zXZ".utf8)),
        ("zstd", 0, [0x28, 0xB5, 0x2F, 0xFD]),
        ("bzip2", 0, Array("BZh".utf8)),
    ]

    /// Reads the signatures (VM operations, section 11.1).
    ///
    /// - Parameters:
    ///   - prefix: the first ``prefixLength`` bytes, or the whole file if it is shorter.
    ///   - footer: the last ``footerLength`` bytes.
    init(prefix: [UInt8], footer: [UInt8], fileSize: UInt64) throws(BackendError) {
        func starts(_ signature: [UInt8], at offset: Int = 0) -> Bool {
            prefix.count >= offset + signature.count && Array(prefix[offset...].prefix(signature.count)) == signature
        }
        if starts([0x51, 0x46, 0x49, 0xFB]) {
            try self.init(qcow2: prefix)
        } else if starts(Array("vhdxfile".utf8)) {
            self.init(format: .vhdx, virtualSize: nil)
        } else if footer.starts(with: Array("conectix".utf8)) {
            self.init(format: .vpc, virtualSize: Self.number(footer, 48, 8))
        } else if let other = Self.refused.first(where: { starts($0.signature, at: $0.offset) }) {
            throw BackendError(.invalidArgument, "disk format \(other.name) is not accepted")
        } else {
            self.init(rawOfSize: fileSize)
        }
    }

    /// A disk whose content means nothing but itself.
    init(rawOfSize size: UInt64) {
        self.init(format: .raw, virtualSize: (size + 511) / 512 * 512)
    }

    private init(format: DiskFormat, virtualSize: UInt64?) {
        self.format = format
        self.virtualSize = virtualSize
    }

    private init(qcow2 prefix: [UInt8]) throws(BackendError) {
        guard prefix.count >= 72, [2, 3].contains(Self.number(prefix, 4, 4)) else {
            throw BackendError(.invalidArgument, "damaged qcow2 header")
        }
        self.init(format: .qcow2, virtualSize: Self.number(prefix, 24, 8))
        isEncrypted = Self.number(prefix, 32, 4) != 0
        let name = Self.number(prefix, 8, 8)
        let length = Self.number(prefix, 16, 4)
        if name != 0, length > 0 {
            guard length <= 1023, name < 1 << 32 else {
                throw BackendError(.invalidArgument, "damaged qcow2 header")
            }
            backingName = name..<(name + length)
        }
        // Bit 2 of the incompatible features: an external data file.
        if Self.number(prefix, 4, 4) == 3, prefix.count >= 80 { hasDataFile = Self.number(prefix, 72, 8) & 4 != 0 }
    }

    private static func number(_ bytes: [UInt8], _ offset: Int, _ count: Int) -> UInt64 {
        guard bytes.count >= offset + count else { return 0 }
        return bytes[offset..<(offset + count)].reduce(0) { $0 << 8 | UInt64($1) }
    }
}
