import DiskImages
import HostBackend
import Support
import SystemPackage

/// The destination's end of a connection that carries disks. Runs on a thread of its own until the source closes.
///
/// A disk grows under a temporary name that tells its transfer. Its length is how far it has come, as blocks come in
/// order; whether that is really on the disk after a power cut, the checksum at the end says.
struct DiskArrival {
    private struct Arriving {
        let path: String
        let temporary: String
        let size: UInt64
        let file: FileDescriptor
    }

    /// Megabytes between two signs of life while a disk is checked.
    private static let checkedPerSign = 64

    let socket: MigrationSocket
    let paths: [Int: String]
    let transfer: String
    private var disk: Arriving?

    init(_ socket: MigrationSocket, paths: [Int: String], transfer: String) {
        self.socket = socket
        self.paths = paths
        self.transfer = transfer
    }

    mutating func run() {
        defer { try? disk?.file.close() }
        do throws(BackendError) {
            while true {
                let (kind, content) = try MigrationFrame.receive(on: socket)
                switch kind {
                case .disk: try open(try MigrationFrame.object(content))
                case .data: try write(content)
                case .diskEnd: try finish(try MigrationFrame.object(content))
                default: throw BackendError(.invalidArgument, "the source said what nobody asked for")
                }
            }
        } catch {
            try? MigrationFrame.send(.failed, Array(error.description.utf8), on: socket)
        }
    }

    private mutating func open(_ content: JSONObject) throws(BackendError) {
        guard disk == nil, let number = content["disk"]?.intValue, let path = paths[Int(clamping: number)],
            let size = content["size"]?.intValue, size >= 0, UInt64(size) <= DiskImages.maximumSize * 2
        else { throw BackendError(.invalidArgument, "a disk that is not expected") }
        if try FileCalls.status(path) != nil {
            return try MigrationFrame.send(.ok, ["complete": true, "offset": .int(size)], on: socket)
        }
        let temporary = path + ".partial-" + transfer
        let file = try FileCalls.on(temporary) {
            try FileDescriptor.open(
                temporary,
                .writeOnly,
                options: [.create, .closeOnExec, .noFollow],
                permissions: [.ownerReadWrite]
            )
        }
        disk = Arriving(path: path, temporary: temporary, size: UInt64(size), file: file)
        var length = try FileCalls.status(temporary)?.size ?? 0
        if length > UInt64(size) {
            try FileCalls.grow(temporary, to: 0)
            length = 0
        }
        try MigrationFrame.send(.ok, ["complete": false, "offset": .int(Int64(clamping: length))], on: socket)
    }

    private func write(_ content: [UInt8]) throws(BackendError) {
        guard let disk, content.count > 8 else { throw BackendError(.invalidArgument, "data of no disk") }
        let offset = content[..<8].reduce(0) { $0 << 8 | UInt64($1) }
        guard offset <= disk.size, UInt64(content.count - 8) <= disk.size - offset else {
            throw BackendError(.invalidArgument, "data outside of the disk")
        }
        try FileCalls.on(disk.temporary) {
            _ = try disk.file.writeAll(toAbsoluteOffset: Int64(offset), content[8...])
        }
    }

    private mutating func finish(_ content: JSONObject) throws(BackendError) {
        guard let disk, let expected = content["sha256"]?.stringValue else {
            throw BackendError(.invalidArgument, "the end of no disk")
        }
        self.disk = nil
        try? disk.file.close()
        // Zeros at the end were not sent.
        try FileCalls.grow(disk.temporary, to: disk.size)
        guard try checksum(disk) == expected else {
            try FileCalls.remove(disk.temporary)
            throw BackendError(.internal, "disk \(disk.path) arrived damaged")
        }
        try FileCalls.sync(disk.temporary)
        try FileCalls.rename(disk.temporary, to: disk.path)
        try FileCalls.syncDirectory(of: disk.path)
        try MigrationFrame.send(.ok, on: socket)
    }

    private func checksum(_ disk: Arriving) throws(BackendError) -> String {
        let blocks = try DataBlocks(disk.temporary)
        let checksum = try DiskChecksum(size: blocks.size)
        var batches = 0
        while let batch = try blocks.next() {
            for (offset, bytes) in batch { try checksum.add(offset, bytes) }
            batches += 1
            if batches % Self.checkedPerSign == 0 { try MigrationFrame.send(.busy, on: socket) }
        }
        return try checksum.finish()
    }
}
