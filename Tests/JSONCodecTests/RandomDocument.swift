import Support

/// Makes JSON values and texts by chance.
struct RandomDocument {
    var generator: SeededGenerator

    init(seed: UInt64) { generator = SeededGenerator(seed: seed) }

    mutating func value(depth: Int = 0) -> JSONValue {
        switch Int.random(in: 0..<(depth < 4 ? 9 : 6), using: &generator) {
        case 0: .null
        case 1: .bool(Bool.random(using: &generator))
        case 2: .int(Int64(bitPattern: generator.next()) >> Int64.random(in: 0..<64, using: &generator))
        case 3: .double(double())
        case 4, 5: .string(string())
        case 6: .array((0..<Int.random(in: 0..<5, using: &generator)).map { _ in value(depth: depth + 1) })
        default: .object(object(depth))
        }
    }

    mutating func object(_ depth: Int) -> JSONObject {
        var object = JSONObject()
        let count = Int.random(in: 0..<20, using: &generator) * (depth == 0 ? 2 : 1) / (depth + 1)
        for _ in 0..<count { object[string()] = value(depth: depth + 1) }
        return object
    }

    mutating func double() -> Double {
        while true {
            let value = Double(bitPattern: generator.next())
            if value.isFinite { return value }
        }
    }

    mutating func string() -> String {
        var text = ""
        for _ in 0..<Int.random(in: 0..<24, using: &generator) { text.unicodeScalars.append(scalar()) }
        return text
    }

    private mutating func scalar() -> Unicode.Scalar {
        let ranges: [ClosedRange<UInt32>] = [
            0x20...0x7E, 0x20...0x7E, 0x20...0x7E, 0x20...0x7E, 0...0x1F, 0x7F...0x7FF, 0x800...0xD7FF,
            0xE000...0xFFFF, 0x10000...0x10FFFF, 0x22...0x22, 0x5C...0x5C,
        ]
        while true {
            let range = ranges[Int.random(in: 0..<ranges.count, using: &generator)]
            if let scalar = Unicode.Scalar(UInt32.random(in: range, using: &generator)) { return scalar }
        }
    }

    /// Text that is nearly JSON: fragments in a mostly sensible order.
    mutating func text(depth: Int = 0) -> [UInt8] {
        var bytes: [UInt8] = []
        append(&bytes, depth: depth)
        return bytes
    }

    private mutating func append(_ bytes: inout [UInt8], depth: Int) {
        space(&bytes)
        switch Int.random(in: 0..<(depth < 5 ? 10 : 7), using: &generator) {
        case 0: bytes += Array(pick(Self.words).utf8)
        case 1, 2, 3: bytes += Array(pick(Self.numbers).utf8)
        case 4, 5, 6: literal(&bytes)
        case 7:
            bytes += Array("[".utf8)
            for index in 0..<Int.random(in: 0..<4, using: &generator) {
                if index > 0 { bytes += Array(",".utf8) }
                append(&bytes, depth: depth + 1)
            }
            bytes += Array("]".utf8)
        default:
            bytes += Array("{".utf8)
            for index in 0..<Int.random(in: 0..<22, using: &generator) / (depth + 1) {
                if index > 0 { bytes += Array(",".utf8) }
                space(&bytes)
                literal(&bytes)
                space(&bytes)
                bytes += Array(":".utf8)
                append(&bytes, depth: depth + 1)
            }
            bytes += Array("}".utf8)
        }
        space(&bytes)
    }

    private mutating func literal(_ bytes: inout [UInt8]) {
        bytes += Array("\"".utf8)
        for _ in 0..<Int.random(in: 0..<5, using: &generator) { bytes += Array(pick(Self.pieces).utf8) }
        bytes += Array("\"".utf8)
    }

    private mutating func space(_ bytes: inout [UInt8]) {
        if Int.random(in: 0..<4, using: &generator) == 0 { bytes += Array(pick([" ", "\n", "\t ", "\r\n"]).utf8) }
    }

    /// Changes, removes, doubles or moves a few bytes.
    mutating func mutate(_ bytes: [UInt8]) -> [UInt8] {
        var bytes = bytes
        for _ in 0..<Int.random(in: 1...2, using: &generator) where !bytes.isEmpty {
            let position = Int.random(in: 0..<bytes.count, using: &generator)
            switch Int.random(in: 0..<4, using: &generator) {
            case 0: bytes[position] ^= 1 << UInt8.random(in: 0..<8, using: &generator)
            case 1: bytes.remove(at: position)
            case 2: bytes.insert(pick(Array(#"{}[],:"\0123456789eE+-.tfnuNI "#.utf8)), at: position)
            default: bytes.removeSubrange(position..<min(bytes.count, position + 3))
            }
        }
        return bytes
    }

    private mutating func pick<Element>(_ elements: [Element]) -> Element {
        elements[Int.random(in: 0..<elements.count, using: &generator)]
    }

    private static let words = ["true", "false", "null", "true", "null", "tru", "NaN", "Infinity", "-Infinity", "Inf"]
    private static let numbers = [
        "0", "-0", "1", "-1", "12345", "9223372036854775807", "-9223372036854775808", "9223372036854775808",
        "-9223372036854775809", "123456789012345678901234567890", "0.1", "-0.0", "1e5", "1E+5", "1e-5", "1.5e300",
        "1e400", "-1e400", "1e-400", "5e-324", "2.4703282292062327e-324", "0.30000000000000004", "1.", ".5", "01",
        "-", "1e", "1e+", "+1", "1.0E10", "4.35", "18446744073709551616", "2.2250738585072014e-308",
    ]
    private static let pieces = [
        "a", "key", "value of some length", " ", "\\n", "\\t\\r\\b\\f", "\\\"", "\\\\", "\\/", "\\u0041", "\\u00e9",
        "\\u2603", "\\ud83d\\ude80", "\\ud83d", "\\ude80", "\\ud83d\\ud83d", "\\u0000", "\\x", "\\u12", "é", "☃", "🚀",
        "\u{7F}", "\u{1}", "\\uD83D\\uDE80",
    ]
}
