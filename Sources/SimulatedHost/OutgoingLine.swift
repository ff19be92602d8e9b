import DiskImages
import DiskTransfer
import HostBackend
import Support
import SystemPackage

/// A disk on its way to another process.
struct OutgoingDisk: Sendable {
    /// Its place in the machine's definition.
    let number: Int
    let path: String
    let size: UInt64
    let isTemporary: Bool
}

/// The source's end of a live migration's connection. Calls that wait run on a thread of its own; one at a time.
struct OutgoingLine: Sendable {
    let socket: MigrationSocket
    let thread: BlockingPool
    /// Bytes a second; `nil` = any number.
    let bandwidth: Int?
    let world: SimulatedWorld

    func send(_ kind: MigrationFrame.Kind, _ content: [UInt8]) async throws {
        try await thread.run { [socket] in
            do throws(BackendError) {
                try MigrationFrame.send(kind, content, on: socket)
            } catch {
                throw error.code == .unavailable ? Self.reason(on: socket) ?? error : error
            }
        }
        guard let bandwidth else { return }
        try await world.reactor.sleep(UInt64(content.count) * 1_000_000_000 / UInt64(max(1, bandwidth)))
    }

    /// Why the destination has closed the connection tells more than that it has.
    private static func reason(on socket: MigrationSocket) -> BackendError? {
        do throws(BackendError) {
            try MigrationFrame.expect(.ok, on: socket)
            return nil
        } catch {
            return error.code == .internal ? error : nil
        }
    }

    func ask(_ kind: MigrationFrame.Kind, _ content: JSONObject, answer: MigrationFrame.Kind) async throws {
        try await thread.run { [socket] in
            try MigrationFrame.send(kind, content, on: socket)
            try MigrationFrame.expect(answer, on: socket)
        }
    }

    /// Sends a disk, zeros left out.
    ///
    /// - Parameter step: called with the bytes done so far, between blocks.
    func send(disk: OutgoingDisk, _ step: (UInt64) async throws -> Void) async throws {
        let head: JSONObject = ["disk": .int(Int64(disk.number)), "size": .int(Int64(clamping: disk.size))]
        try await thread.run { [socket] in try MigrationFrame.send(.disk, head, on: socket) }
        let block = MigrationFrame.blockBytes
        var offset: UInt64 = 0
        while offset < disk.size {
            let place = offset
            // Sixteen blocks at a time: a large disk is not to take a turn of the thread for each.
            let bytes = try await thread.run {
                try FileCalls.read(disk.path, offset: place, count: Int(min(UInt64(block * 16), disk.size - place)))
            }
            guard !bytes.isEmpty else { throw BackendError(.internal, "\(disk.path) became shorter meanwhile") }
            var start = 0
            while start < bytes.count {
                let piece = bytes[start..<min(start + block, bytes.count)]
                if piece.contains(where: { $0 != 0 }) {
                    let position = offset + UInt64(start)
                    let prefix = (0..<8).map { UInt8(truncatingIfNeeded: position >> UInt64(56 - $0 * 8)) }
                    try await send(.data, prefix + piece)
                }
                start += piece.count
            }
            offset += UInt64(bytes.count)
            try await step(offset)
        }
        try await ask(.diskEnd, [:], answer: .ok)
    }
}
