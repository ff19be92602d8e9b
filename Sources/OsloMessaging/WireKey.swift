/// Names of members of inner messages (oslo.messaging wire, sections 5 and 7).
enum WireKey {
    static let contextPrefix = "_context_"
}

/// What the outer object holds (oslo.messaging wire, section 4).
enum Envelope {
    static let version = "2.0"
    static let versionKey = "oslo.version"
    static let messageKey = "oslo.message"
}

extension Span<UInt8> {
    /// Whether the bytes are exactly this text.
    @inline(__always)
    func equals(_ text: StaticString) -> Bool {
        guard count == text.utf8CodeUnitCount else { return false }
        return starts(with: text)
    }

    /// Whether the bytes begin with this text.
    @inline(__always)
    func starts(with text: StaticString) -> Bool {
        let length = text.utf8CodeUnitCount
        guard count >= length else { return false }
        return text.withUTF8Buffer { buffer in
            for offset in 0..<length where self[offset] != buffer[offset] { return false }
            return true
        }
    }

    /// The bytes as text; what is not UTF-8 is replaced.
    @inline(__always)
    var text: String { withUnsafeBufferPointer { String(decoding: $0, as: UTF8.self) } }
}
