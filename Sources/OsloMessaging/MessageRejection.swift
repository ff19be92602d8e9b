import JSONCodec

/// Why a message cannot be taken, with what one log line needs and nothing of its content.
package struct MessageRejection: Error, Sendable, Hashable, CustomStringConvertible {
    /// What kind of trouble it is; also the label of a counter.
    package struct Code: Sendable, Hashable, CustomStringConvertible {
        private enum Value: String {
            case contentType = "content type"
            case compression = "compression"
            case tooLarge = "too large"
            case malformedJSON = "malformed JSON"
            case notAnObject = "not an object"
            case envelope = "envelope"
            case invalidRequest = "invalid request"
            case invalidReply = "invalid reply"
            case invalidNotification = "invalid notification"
        }

        private let value: Value

        /// Not exactly `application/json`.
        package static let contentType = Code(value: .contentType)
        /// A compression that is not read, or data that is not what its header says.
        package static let compression = Code(value: .compression)
        /// Larger than the limit, as received or after decompression.
        package static let tooLarge = Code(value: .tooLarge)
        package static let malformedJSON = Code(value: .malformedJSON)
        package static let notAnObject = Code(value: .notAnObject)
        /// An envelope of another version or without a text inside.
        package static let envelope = Code(value: .envelope)
        /// A cast that no server could run; a call of that kind is answered instead.
        package static let invalidRequest = Code(value: .invalidRequest)
        package static let invalidReply = Code(value: .invalidReply)
        package static let invalidNotification = Code(value: .invalidNotification)

        package var description: String { value.rawValue }
    }

    package let code: Code
    /// One clause; never text of the body.
    package let detail: String
    /// The body's size in bytes, as received.
    package let size: Int
    /// FNV-1a over the body's first 64 KiB, to recognise a repeated message.
    package let digest: UInt64
    /// Where reading stopped, in the document that could not be read.
    package let position: Int?
    /// jansson's number for the document, if it gave one.
    package let parserCode: Int?

    init(_ code: Code, _ detail: String, body: [UInt8], position: Int? = nil, parserCode: Int? = nil) {
        self.code = code
        self.detail = detail
        self.size = body.count
        self.digest = Self.digest(body)
        self.position = position
        self.parserCode = parserCode
    }

    init(_ error: JSONError, body: [UInt8]) {
        self.init(
            error.code == .tooLarge ? .tooLarge : .malformedJSON,
            "\(error.code): \(error.message)",
            body: body,
            position: error.position,
            parserCode: error.parserCode
        )
    }

    package var description: String {
        var text = "\(code): \(detail)"
        if let position { text += " at byte \(position)" }
        if let parserCode { text += ", parser code \(parserCode)" }
        let hex = String(digest, radix: 16)
        return text + "; \(size) bytes, digest " + String(repeating: "0", count: 16 - hex.utf8.count) + hex
    }

    private static func digest(_ body: [UInt8]) -> UInt64 {
        var hash: UInt64 = 0xCBF2_9CE4_8422_2325
        for byte in body.prefix(64 << 10) { hash = (hash ^ UInt64(byte)) &* 0x100_0000_01B3 }
        return hash
    }
}
