import HostBackend

/// The header of a qcow2 file, read by somebody who trusts nothing in it.
///
/// What it says must fit into the file and into the bounds that QEMU itself sets: a table that a few bytes claim to be
/// huge is refused before any program reserves memory for it.
struct QcowHeader: Sendable {
    /// Bytes of the file's beginning that hold header, extensions and backing name.
    static let prefixLength = 64 << 10

    private static let knownFeatures: UInt64 = 0b1_1111
    private static let maximumTableBytes: UInt64 = 32 << 20
    private static let maximumSnapshots: UInt64 = 1024
    private static let maximumExtensions = 64

    private enum Feature {
        static let corrupt: UInt64 = 1 << 1
        static let dataFile: UInt64 = 1 << 2
        static let extendedTables: UInt64 = 1 << 4
    }

    private enum Extension {
        static let end: UInt64 = 0
        static let backingFormat: UInt64 = 0xE279_2ACA
        static let encryption: UInt64 = 0x0537_BE77
        static let dataFile: UInt64 = 0x4441_5441
    }

    let virtualSize: UInt64

    private let bytes: [UInt8]
    private let fileSize: UInt64

    /// - Parameters:
    ///   - prefix: the first ``prefixLength`` bytes, or the whole file if it is shorter.
    /// - Throws: `invalidArgument` with what is wrong.
    init(_ prefix: [UInt8], fileSize: UInt64) throws(BackendError) {
        bytes = prefix
        self.fileSize = fileSize
        virtualSize = Self.number(prefix, 24, 8)
        try check()
    }

    private func check() throws(BackendError) {
        let version = field(4, 4)
        guard bytes.count >= 72, version == 2 || (version == 3 && bytes.count >= 104) else {
            throw Self.refused("a damaged qcow2 header")
        }
        guard field(8, 8) == 0, field(16, 4) == 0 else { throw Self.refused("refers to a backing file") }
        guard field(32, 4) == 0 else { throw Self.refused("is encrypted") }
        let features = version == 3 ? field(72, 8) : 0
        guard features & Feature.dataFile == 0 else { throw Self.refused("refers to a data file") }
        guard features & Feature.corrupt == 0 else { throw Self.refused("is marked as corrupt") }
        guard features & ~Self.knownFeatures == 0 else { throw Self.refused("needs features that are not known") }
        if version == 3 { try checkExtensions() }
        try checkTables(isExtended: features & Feature.extendedTables != 0)
    }

    private func checkExtensions() throws(BackendError) {
        let length = field(100, 4)
        guard length >= 104, length % 8 == 0, length <= 4096 else { throw Self.refused("a damaged qcow2 header") }
        var position = Int(length)
        for _ in 0..<Self.maximumExtensions {
            guard position + 8 <= bytes.count else { throw Self.refused("endless header extensions") }
            let size = field(position + 4, 4)
            switch field(position, 4) {
            case Extension.end: return
            case Extension.backingFormat: throw Self.refused("refers to a backing file")
            case Extension.encryption: throw Self.refused("is encrypted")
            case Extension.dataFile: throw Self.refused("refers to a data file")
            default: break
            }
            guard size <= UInt64(Self.prefixLength) else { throw Self.refused("endless header extensions") }
            position += 8 + Int((size + 7) / 8 * 8)
        }
        throw Self.refused("endless header extensions")
    }

    private func checkTables(isExtended: Bool) throws(BackendError) {
        let clusterBits = field(20, 4)
        guard (9...21).contains(clusterBits) else { throw Self.refused("clusters of an impossible size") }
        let cluster: UInt64 = 1 << clusterBits
        guard virtualSize < 1 << 56 else { throw Self.refused("an impossible size") }
        // One entry of the first table stands for a whole second table.
        let covered = cluster * (cluster / (isExtended ? 16 : 8))
        let needed = (virtualSize + covered - 1) / covered
        let entries = field(36, 4)
        guard entries >= needed, entries * 8 <= Self.maximumTableBytes else {
            throw Self.refused("a table of \(entries) entries for \(virtualSize) bytes")
        }
        try checkTable("first table", at: field(40, 8), size: entries * 8, cluster)
        let counts = field(56, 4) * cluster
        guard counts > 0, counts <= Self.maximumTableBytes >> 2 else {
            throw Self.refused("a reference table of \(counts) bytes")
        }
        try checkTable("reference table", at: field(48, 8), size: counts, cluster)
        let snapshots = field(60, 4)
        guard snapshots <= Self.maximumSnapshots else { throw Self.refused("\(snapshots) snapshots") }
        if snapshots > 0 { try checkTable("snapshot table", at: field(64, 8), size: snapshots * 40, cluster) }
    }

    private func checkTable(
        _ name: String,
        at offset: UInt64,
        size: UInt64,
        _ cluster: UInt64
    ) throws(BackendError) {
        let (end, overflow) = offset.addingReportingOverflow(size)
        guard size == 0 || (offset >= cluster && offset % cluster == 0), !overflow, end <= fileSize else {
            throw Self.refused("its \(name) lies outside of the file")
        }
    }

    private func field(_ offset: Int, _ count: Int) -> UInt64 { Self.number(bytes, offset, count) }

    private static func number(_ bytes: [UInt8], _ offset: Int, _ count: Int) -> UInt64 {
        guard bytes.count >= offset + count else { return 0 }
        return bytes[offset..<(offset + count)].reduce(0) { $0 << 8 | UInt64($1) }
    }

    private static func refused(_ reason: String) -> BackendError { BackendError(.invalidArgument, reason) }
}
