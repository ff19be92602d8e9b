package import JSONCodec
package import Support

/// One frame (plugin protocol, section 2).
package enum PluginFrame: Sendable, Hashable {
    /// A message: JSON, not read yet.
    case message([UInt8])
    case console(PluginConsoleBytes)
    /// Of a type that this version does not know; ignored by whoever receives it.
    case unknown(type: UInt8, payload: [UInt8])

    /// The largest frame before the handshake, and when nothing else is said: bytes behind the length.
    package static let defaultMaximum = 1 << 20
    /// The smallest maximum that a side may ask for.
    package static let smallestMaximum = 4096
    package static let messageType: UInt8 = 1
    package static let consoleType: UInt8 = 2
    /// Nesting of a message's JSON (plugin protocol, section 2).
    package static let maximumDepth = 32

    /// The frame as it is sent.
    package var bytes: [UInt8] {
        switch self {
        case .message(let payload): Self.bytes(type: Self.messageType, payload)
        case .console(let console): Self.bytes(type: Self.consoleType, console.payload)
        case .unknown(let type, let payload): Self.bytes(type: type, payload)
        }
    }

    /// A frame of any type.
    package static func bytes(type: UInt8, _ payload: [UInt8]) -> [UInt8] {
        bigEndian(UInt32(payload.count + 1)) + [type] + payload
    }

    /// A message as it is sent.
    ///
    /// - Throws: when the value has no JSON form, or nests too deeply.
    package static func bytes(of message: JSONObject) throws(JSONError) -> [UInt8] {
        PluginFrame.message(try JSONWriter.bytes(of: .object(message), .compact)).bytes
    }

    /// A message's object.
    ///
    /// - Throws: ``PluginError/Code/violation`` for what is no JSON object.
    package static func object(of payload: [UInt8]) throws(PluginError) -> JSONObject {
        let value: JSONValue
        do {
            let limits = JSONLimits(maximumBytes: payload.count, maximumDepth: maximumDepth)
            value = try JSONReader.read(payload, limits: limits, parser: .native)
        } catch {
            throw PluginError(.violation, "a message is no JSON (\(error)): \(PluginText.escaped(payload))")
        }
        guard case .object(let object) = value else {
            throw PluginError(.violation, "a message is no object: \(PluginText.escaped(payload))")
        }
        return object
    }

    static func bigEndian<Number: FixedWidthInteger>(_ number: Number) -> [UInt8] {
        (0..<(Number.bitWidth / 8)).reversed().map { UInt8(truncatingIfNeeded: number >> Number($0 * 8)) }
    }
}

/// The payload of a console frame.
package struct PluginConsoleBytes: Sendable, Hashable {
    /// Stream id and offset.
    package static let headerBytes = 12

    package var stream: UInt32
    /// Of the first byte, in what the machine has printed.
    package var offset: UInt64
    package var bytes: [UInt8]

    package init(stream: UInt32, offset: UInt64, bytes: [UInt8]) {
        self.stream = stream
        self.offset = offset
        self.bytes = bytes
    }

    init(_ payload: [UInt8]) throws(PluginError) {
        guard payload.count >= Self.headerBytes else {
            throw PluginError(.violation, "a console frame of \(payload.count) bytes has no header")
        }
        stream = payload[0..<4].reduce(0) { $0 << 8 | UInt32($1) }
        offset = payload[4..<12].reduce(0) { $0 << 8 | UInt64($1) }
        bytes = Array(payload[Self.headerBytes...])
    }

    var payload: [UInt8] {
        PluginFrame.bigEndian(stream) + PluginFrame.bigEndian(offset) + bytes
    }
}
