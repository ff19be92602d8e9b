/// Escapes text so that it cannot leave its place in a line.
enum LineText {
    /// Longest message or value in a line; the rest is cut and marked by `…`.
    static let longest = 8192

    /// Appends the text in double quotes with JSON's escapes. Everything that a terminal or a line reader acts on is
    /// escaped: control characters of both sets, line separators, and marks that change the direction of writing.
    static func appendQuoted(_ text: String, to line: inout [UInt8]) {
        line.append(UInt8(ascii: "\""))
        for scalar in limited(text).unicodeScalars { append(scalar, to: &line) }
        line.append(UInt8(ascii: "\""))
    }

    /// Whether the text can stand in a line of text form without quotes.
    static func isPlain(_ text: String, allowingSpaces: Bool) -> Bool {
        guard !text.isEmpty, text.utf8.count <= longest, text.utf8.first != UInt8(ascii: " ") else { return false }
        guard text.utf8.last != UInt8(ascii: " ") else { return false }
        return text.utf8.allSatisfy { byte in
            switch byte {
            case UInt8(ascii: "="), UInt8(ascii: "\""), UInt8(ascii: "\\"): false
            case UInt8(ascii: " "): allowingSpaces
            case 0x21...0x7E: true
            default: false
            }
        }
    }

    /// The key with everything but letters, digits, `_`, `-` and `.` replaced by `_`.
    static func key(_ key: String) -> String {
        let bytes = key.utf8.prefix(128).map { byte in
            switch byte {
            case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
                UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "_"), UInt8(ascii: "-"), UInt8(ascii: "."):
                byte
            default: UInt8(ascii: "_")
            }
        }
        return bytes.isEmpty ? "_" : String(decoding: bytes, as: UTF8.self)
    }

    private static func limited(_ text: String) -> String {
        text.utf8.count <= longest ? text : String(decoding: text.utf8.prefix(longest), as: UTF8.self) + "…"
    }

    private static func append(_ scalar: Unicode.Scalar, to line: inout [UInt8]) {
        switch scalar {
        case "\"", "\\":
            line.append(UInt8(ascii: "\\"))
            line.append(UInt8(truncatingIfNeeded: scalar.value))
        case "\n": line.append(contentsOf: "\\n".utf8)
        case "\r": line.append(contentsOf: "\\r".utf8)
        case "\t": line.append(contentsOf: "\\t".utf8)
        default:
            if mustBeEscaped(scalar.value) {
                appendHexadecimal(scalar.value, to: &line)
            } else {
                line.append(contentsOf: UTF8.encode(scalar) ?? UTF8.encodedReplacementCharacter)
            }
        }
    }

    private static func mustBeEscaped(_ value: UInt32) -> Bool {
        switch value {
        case 0..<0x20, 0x7F...0x9F, 0x200E, 0x200F, 0x2028...0x202E, 0x2066...0x2069, 0xFEFF: true
        default: false
        }
    }

    private static func appendHexadecimal(_ value: UInt32, to line: inout [UInt8]) {
        let digits = String(value, radix: 16)
        line.append(contentsOf: "\\u".utf8)
        for _ in digits.utf8.count..<4 { line.append(UInt8(ascii: "0")) }
        line.append(contentsOf: digits.utf8)
    }
}
