import HostBackend
import Support

/// The source's end of one disk. Its calls block; one at a time. Calls from different threads are ordered by their
/// caller, which awaits each before the next.
final class DiskDeparture: @unchecked Sendable {
    // Unchecked because of the fields that change: whoever calls awaits one call before the next.
    private let number: Int
    private let blocks: DataBlocks
    private let checksum: DiskChecksum
    /// Where the destination's copy ends: blocks before it are there already.
    private var known: UInt64 = 0

    init(_ disk: CarriedDisk) throws(BackendError) {
        number = disk.number
        blocks = try DataBlocks(disk.path)
        checksum = try DiskChecksum(size: blocks.size)
    }

    var size: UInt64 { blocks.size }
    var position: UInt64 { blocks.position }

    /// - Returns: whether the destination has the disk whole.
    func begin(on socket: MigrationSocket) throws(BackendError) -> Bool {
        try MigrationFrame.send(
            .disk,
            ["disk": .int(Int64(number)), "size": .int(Int64(clamping: size))],
            on: socket
        )
        let answer = try MigrationFrame.object(try MigrationFrame.expect(.ok, on: socket))
        known = answer.count("offset")
        return answer["complete"]?.boolValue ?? false
    }

    /// Sends about a megabyte.
    ///
    /// - Returns: the bytes sent; `nil` at the end.
    func step(on socket: MigrationSocket) throws(BackendError) -> Int? {
        guard let next = try blocks.next() else { return nil }
        var sent = 0
        for (offset, bytes) in next {
            try checksum.add(offset, bytes)
            // The block at the end of the copy may be there in part.
            guard offset + UInt64(bytes.count) > known else { continue }
            try MigrationFrame.send(.data, DiskChecksum.bytes(offset) + bytes, on: socket)
            sent += bytes.count
        }
        return sent
    }

    /// Has the destination check what it got, and put it in place.
    func end(on socket: MigrationSocket) throws(BackendError) {
        try MigrationFrame.send(.diskEnd, ["sha256": .string(try checksum.finish())], on: socket)
        try MigrationFrame.expect(.ok, on: socket)
    }
}
