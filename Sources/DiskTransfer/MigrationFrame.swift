package import HostBackend
import JSONCodec
package import Support

/// What goes over a migration's connection: a byte for the kind, four for the length, then the content.
///
/// In a live migration the source sends `hello`, for each disk `disk`, `data`…, `diskEnd`, then `memory` and at the switch-over `state`. The
/// destination answers each `hello`, `diskEnd`, `sync` with `ok` and `state` with `loaded`, or anything with `failed`
/// and closes. ``DiskTransfer`` sends disks alone, and each `disk` is answered with what has come of it.
package enum MigrationFrame {
    package enum Kind: UInt8 {
        case hello = 1
        case disk, data, diskEnd, memory, sync, state
        case ok = 16
        case loaded, failed
        /// The destination works on its answer.
        case busy
    }

    /// Above what either side sends; a longer frame is not read.
    package static let largest = 16 << 20
    package static let blockBytes = 64 << 10

    package static func send(_ kind: Kind, _ content: [UInt8] = [], on socket: MigrationSocket) throws(BackendError) {
        let count = UInt32(content.count)
        let head = [
            kind.rawValue, UInt8(truncatingIfNeeded: count >> 24), UInt8(truncatingIfNeeded: count >> 16),
            UInt8(truncatingIfNeeded: count >> 8), UInt8(truncatingIfNeeded: count),
        ]
        try socket.send(head + content)
    }

    package static func send(_ kind: Kind, _ content: JSONObject, on socket: MigrationSocket) throws(BackendError) {
        do {
            try send(kind, try JSONWriter.bytes(of: .object(content), .compact), on: socket)
        } catch let error as BackendError {
            throw error
        } catch {
            throw BackendError(.internal, "a part of the migration cannot be written", cause: error)
        }
    }

    /// The next frame.
    ///
    /// - Parameter most: bytes of content that are taken; memory is taken for as many as are announced.
    package static func receive(
        on socket: MigrationSocket,
        atMost most: Int = largest
    ) throws(BackendError) -> (kind: Kind, content: [UInt8]) {
        let head = try socket.receive(5)
        let count = head[1...4].reduce(0) { $0 << 8 | Int($1) }
        guard let kind = Kind(rawValue: head[0]), count <= most else {
            throw BackendError(.invalidArgument, "the other side of the migration speaks another language")
        }
        return (kind, count == 0 ? [] : try socket.receive(count))
    }

    /// Waits for the answer that says that all is well so far.
    ///
    /// - Returns: the answer's content.
    @discardableResult
    package static func expect(_ wanted: Kind, on socket: MigrationSocket) throws(BackendError) -> [UInt8] {
        while true {
            let (kind, content) = try receive(on: socket)
            if kind == .busy { continue }
            if kind == .failed {
                let reason = String(decoding: content.prefix(1000), as: UTF8.self)
                throw BackendError(.internal, "the destination says: \(reason)")
            }
            guard kind == wanted else { throw BackendError(.internal, "an unexpected answer of the destination") }
            return content
        }
    }

    package static func object(_ content: [UInt8]) throws(BackendError) -> JSONObject {
        guard let object = (try? JSONReader.read(content))?.objectValue else {
            throw BackendError(.invalidArgument, "the migration's connection carries no JSON object")
        }
        return object
    }
}
