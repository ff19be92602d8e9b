import JSONCodec
import Support

/// What comes from a plugin (plugin protocol, section 2).
///
/// The kit has a reading of the wire of its own, apart from the worker's: what both misread in the same way would be
/// missed otherwise, and the kit has to send what no worker may.
enum WireFrame: Sendable {
    case message(JSONObject)
    case console(stream: Int64, offset: UInt64, bytes: [UInt8])
    case other(UInt8)
}

/// Something that the protocol does not allow, and where it says so.
struct WireViolation: Error, Sendable, Hashable {
    let section: String
    let text: String
}

/// Frames as bytes.
enum WireBytes {
    static func frame(_ type: UInt8, _ payload: [UInt8]) -> [UInt8] {
        bigEndian(UInt32(payload.count + 1)) + [type] + payload
    }

    static func message(_ object: JSONObject) throws -> [UInt8] {
        frame(1, try JSONWriter.bytes(of: .object(object), .compact))
    }

    static func bigEndian(_ number: UInt32) -> [UInt8] {
        (0..<4).map { UInt8(truncatingIfNeeded: number >> UInt32(24 - 8 * $0)) }
    }
}

/// Takes bytes apart into frames.
struct WireDecoder: Sendable {
    /// The receiver's own `max_frame`.
    var maximum = 1 << 20
    private var bytes: [UInt8] = []

    mutating func append(_ more: [UInt8]) { bytes += more }

    /// Bytes that are no whole frame yet.
    var rest: Int { bytes.count }

    /// The next frame; `nil` when it is not whole yet.
    mutating func next() throws(WireViolation) -> WireFrame? {
        guard bytes.count >= 4 else { return nil }
        let length = bytes[..<4].reduce(0) { $0 << 8 | Int($1) }
        guard length >= 1 else { throw WireViolation(section: "2", text: "an empty frame") }
        guard length <= maximum else {
            throw WireViolation(
                section: "2",
                text: "a frame of \(length) bytes, above max_frame of \(maximum); the output has "
                    + Self.quote(bytes.prefix(60))
            )
        }
        guard bytes.count >= 4 + length else { return nil }
        let type = bytes[4]
        let payload = Array(bytes[5..<(4 + length)])
        bytes.removeFirst(4 + length)
        switch type {
        case 1: return .message(try Self.object(payload))
        case 2:
            guard payload.count >= 12 else {
                throw WireViolation(section: "2", text: "console bytes without stream and offset")
            }
            let stream = payload[..<4].reduce(0) { $0 << 8 | Int64($1) }
            let offset = payload[4..<12].reduce(UInt64(0)) { $0 << 8 | UInt64($1) }
            return .console(stream: stream, offset: offset, bytes: Array(payload[12...]))
        default: return .other(type)
        }
    }

    private static func object(_ payload: [UInt8]) throws(WireViolation) -> JSONObject {
        do {
            let limits = JSONLimits(maximumBytes: payload.count, maximumDepth: 32)
            if let object = try JSONReader.read(payload, limits: limits).objectValue { return object }
            throw WireViolation(section: "2", text: "a message that is no JSON object: \(quote(payload.prefix(60)))")
        } catch let error as WireViolation {
            throw error
        } catch {
            throw WireViolation(
                section: "2",
                text: "a message that is no JSON (\(error)): \(quote(payload.prefix(60)))"
            )
        }
    }

    /// Bytes for people: what cannot be printed is escaped.
    static func quote(_ bytes: some Collection<UInt8>) -> String {
        String(decoding: bytes, as: UTF8.self).debugDescription
    }
}
