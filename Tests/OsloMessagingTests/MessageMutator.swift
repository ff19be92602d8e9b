import Foundation

/// How many fuzz cases there are in all.
enum FuzzCases {
    static let total = ProcessInfo.processInfo.environment["VMOPS_FUZZ_CASES"].flatMap { Int($0) } ?? 100_000
}

/// SplitMix64: the same numbers for the same seed on every machine.
struct SeededGenerator: RandomNumberGenerator {
    private var state: UInt64

    init(seed: UInt64) { state = seed }

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var value = state
        value = (value ^ value >> 30) &* 0xBF58_476D_1CE4_E5B9
        value = (value ^ value >> 27) &* 0x94D0_49BB_1331_11EB
        return value ^ value >> 31
    }
}

/// Damages messages: bits, cuts, splices, numbers, escapes, members.
struct MessageMutator {
    var generator: SeededGenerator

    init(seed: UInt64) { generator = SeededGenerator(seed: seed) }

    mutating func mutate(_ body: [UInt8], with other: [UInt8]) -> [UInt8] {
        var body = body
        for _ in 0..<Int.random(in: 1...3, using: &generator) where !body.isEmpty {
            let position = Int.random(in: 0..<body.count, using: &generator)
            switch Int.random(in: 0..<12, using: &generator) {
            case 0, 1: body[position] ^= 1 << UInt8.random(in: 0..<8, using: &generator)
            case 2: body[position] = UInt8.random(in: 0...255, using: &generator)
            case 3: body.removeSubrange(position...)
            case 4:
                body.removeSubrange(position..<min(body.count, position + Int.random(in: 1...40, using: &generator)))
            case 5:
                let cut = Int.random(in: 0..<max(1, other.count), using: &generator)
                body = Array(body[..<position]) + Array(other[min(cut, other.count)...])
            case 6: replaceNumber(&body, from: position)
            case 7, 8: insert(Self.escapes, &body, position)
            case 9: insert(Self.values, &body, position)
            default: renameMember(&body)
            }
        }
        return body
    }

    /// Puts another number, or none, where the next digits are.
    private mutating func replaceNumber(_ body: inout [UInt8], from position: Int) {
        let isDigit = { (byte: UInt8) in UInt8(ascii: "0")...UInt8(ascii: "9") ~= byte }
        guard let start = body[position...].firstIndex(where: isDigit) else { return }
        let end = body[start...].firstIndex { !isDigit($0) } ?? body.endIndex
        body.replaceSubrange(start..<end, with: Array(pick(Self.values).utf8))
    }

    private mutating func insert(_ texts: [String], _ body: inout [UInt8], _ position: Int) {
        body.insert(contentsOf: Array(pick(texts).utf8), at: position)
    }

    /// Gives a member another's name, so that values of the wrong type stand under known names.
    private mutating func renameMember(_ body: inout [UInt8]) {
        let old = Array(pick(Self.names).utf8)
        let new = Array(pick(Self.names).utf8)
        guard old.count <= body.count else { return }
        for start in 0...(body.count - old.count) where body[start] == old[0] && body[start...].starts(with: old) {
            body.replaceSubrange(start..<(start + old.count), with: new)
            return
        }
    }

    private mutating func pick(_ texts: [String]) -> String {
        texts[Int.random(in: 0..<texts.count, using: &generator)]
    }

    private static let names = [
        "method", "args", "namespace", "version", "_msg_id", "_reply_q", "_timeout", "_unique_id", "_context_roles",
        "oslo.version", "oslo.message", "result", "failure", "ending", "class", "module", "message", "tb", "kwargs",
    ]
    private static let values = [
        "NaN", "-Infinity", "1e400", "-1e-400", "99999999999999999999999999", "-0", "0.1", "null", "true", "[]", "{}",
        "\\\"\\\"", "[[[[[[[[]]]]]]]]", "1.5", "2.0", "3", "",
    ]
    private static let escapes = [
        "\\", "\\\\", "\"", "\\\"", "\\\\\\\"", "\\u0000", "\\\\u0000", "\\\\ud83d", "\\ud83d", "\\\\ud83d\\\\ude80",
        "\\x",
        "\u{0}", "\u{1F}", "é", "☃", "\u{7F}", "{", "}", "[", "]", ",", ":",
    ]
}
