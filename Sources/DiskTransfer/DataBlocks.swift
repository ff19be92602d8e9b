import DiskImages
import Glibc
import HostBackend
import SystemPackage

/// A file as the blocks of it that hold anything but zeros, in order. Holes are passed over without being read. Used by
/// one thread at a time; the descriptor is closed with it.
final class DataBlocks {
    private static let seekData: Int32 = 3
    static let blockBytes = MigrationFrame.blockBytes
    /// Blocks in a batch.
    private static let batch = 16

    let path: String
    let size: UInt64
    private let file: FileDescriptor
    /// Everything before it has been looked at; a multiple of ``blockBytes``, or the end.
    private(set) var position: UInt64 = 0

    init(_ path: String) throws(BackendError) {
        self.path = path
        guard let status = try FileCalls.status(path), status.isRegular else {
            throw BackendError(.notFound, "there is no disk \(path)")
        }
        size = status.size
        file = try FileCalls.on(path) { try FileDescriptor.open(path, .readOnly, options: [.closeOnExec]) }
    }

    deinit { try? file.close() }

    /// The blocks of the next megabyte; `nil` at the end.
    func next() throws(BackendError) -> [(offset: UInt64, bytes: ArraySlice<UInt8>)]? {
        skipHole()
        guard position < size else { return nil }
        let start = position
        let count = Int(min(UInt64(Self.blockBytes * Self.batch), size - start))
        let bytes = try FileCalls.read(file, path, offset: start, count: count)
        guard bytes.count == count else { throw BackendError(.internal, "\(path) became shorter meanwhile") }
        position += UInt64(count)
        var blocks: [(offset: UInt64, bytes: ArraySlice<UInt8>)] = []
        for begin in stride(from: 0, to: count, by: Self.blockBytes) {
            let block = bytes[begin..<min(begin + Self.blockBytes, count)]
            if block.contains(where: { $0 != 0 }) { blocks.append((start + UInt64(begin), block)) }
        }
        return blocks
    }

    /// File systems that know of no holes name every place as data.
    private func skipHole() {
        let data = lseek(file.rawValue, Int(position), Self.seekData)
        if data < 0 {
            if errno == ENXIO { position = size }
        } else {
            position = max(position, UInt64(data) / UInt64(Self.blockBytes) * UInt64(Self.blockBytes))
        }
    }
}

/// The checksum of a disk: SHA-256 over its size and each block that is not all zeros, with its place before it, so that
/// it is the same however the zeros are stored.
struct DiskChecksum {
    private let digest: ContentDigest.Running

    init(size: UInt64) throws(BackendError) {
        digest = try ContentDigest.Running("sha256")
        try digest.add(Self.bytes(size))
    }

    func add(_ offset: UInt64, _ block: ArraySlice<UInt8>) throws(BackendError) {
        try digest.add(Self.bytes(offset))
        try digest.add(Array(block))
    }

    /// To be called once.
    func finish() throws(BackendError) -> String { try digest.finish() }

    static func bytes(_ number: UInt64) -> [UInt8] {
        (0..<8).map { UInt8(truncatingIfNeeded: number >> UInt64(56 - $0 * 8)) }
    }
}
