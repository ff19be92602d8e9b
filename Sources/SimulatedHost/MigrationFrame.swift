import HostBackend
import JSONCodec
import Support

/// What goes over a live migration's connection: a byte for the kind, four for the length, then the content.
///
/// The source sends `hello`, for each disk `disk`, `data`…, `diskEnd`, then `memory` and at the switch-over `state`. The
/// destination answers each `hello`, `diskEnd`, `sync` with `ok` and `state` with `loaded`, or anything with `failed`
/// and closes.
enum MigrationFrame {
    enum Kind: UInt8 {
        case hello = 1
        case disk, data, diskEnd, memory, sync, state
        case ok = 16
        case loaded, failed
    }

    /// Above what either side sends; a longer frame is not read.
    static let largest = 16 << 20
    static let blockBytes = 64 << 10

    static func send(_ kind: Kind, _ content: [UInt8] = [], on socket: MigrationSocket) throws(BackendError) {
        let count = UInt32(content.count)
        let head = [
            kind.rawValue, UInt8(truncatingIfNeeded: count >> 24), UInt8(truncatingIfNeeded: count >> 16),
            UInt8(truncatingIfNeeded: count >> 8), UInt8(truncatingIfNeeded: count),
        ]
        try socket.send(head + content)
    }

    static func send(_ kind: Kind, _ content: JSONObject, on socket: MigrationSocket) throws(BackendError) {
        do {
            try send(kind, try JSONWriter.bytes(of: .object(content), .compact), on: socket)
        } catch let error as BackendError {
            throw error
        } catch {
            throw BackendError(.internal, "a part of the migration cannot be written", cause: error)
        }
    }

    static func receive(on socket: MigrationSocket) throws(BackendError) -> (kind: Kind, content: [UInt8]) {
        let head = try socket.receive(5)
        let count = head[1...4].reduce(0) { $0 << 8 | Int($1) }
        guard let kind = Kind(rawValue: head[0]), count <= largest else {
            throw BackendError(.invalidArgument, "the other side of the migration speaks another language")
        }
        return (kind, count == 0 ? [] : try socket.receive(count))
    }

    /// Waits for the answer that says that all is well so far.
    static func expect(_ wanted: Kind, on socket: MigrationSocket) throws(BackendError) {
        let (kind, content) = try receive(on: socket)
        if kind == .failed {
            let reason = String(decoding: content.prefix(1000), as: UTF8.self)
            throw BackendError(.internal, "the destination says: \(reason)")
        }
        guard kind == wanted else { throw BackendError(.internal, "an unexpected answer of the destination") }
    }

    static func object(_ content: [UInt8]) throws(BackendError) -> JSONObject {
        guard let object = (try? JSONReader.read(content))?.objectValue else {
            throw BackendError(.invalidArgument, "the migration's connection carries no JSON object")
        }
        return object
    }

    /// A block of a simulated guest's memory: its number, then what stands in it, which both sides can tell.
    static func memoryBlock(_ number: UInt64) -> [UInt8] {
        var word = (number &+ 1) &* 0x9E37_79B9_7F4A_7C15
        return [UInt8](unsafeUninitializedCapacity: blockBytes) { buffer, count in
            for place in 0..<blockBytes {
                if place & 7 == 0 {
                    word ^= word << 13
                    word ^= word >> 7
                    word ^= word << 17
                }
                buffer[place] =
                    place < 8
                    ? UInt8(truncatingIfNeeded: number >> UInt64(place * 8))
                    : UInt8(truncatingIfNeeded: word >> UInt64((place & 7) * 8))
            }
            count = blockBytes
        }
    }

    /// Blocks of memory that a guest of so many MB has written to: a page in 256.
    static func memoryBlocks(memoryMB: Int) -> UInt64 { UInt64(max(1, memoryMB * 4096 / blockBytes)) }
}
