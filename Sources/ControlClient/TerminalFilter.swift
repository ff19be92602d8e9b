/// Makes a guest's output harmless for a terminal: control characters appear in caret notation, everything that is not
/// UTF-8 as `\x` and two digits. Line feeds, carriage returns and tabs pass, all printable text, and colours: the
/// escape sequence SGR of ECMA-48, section 8.3.117, which changes the look of text and nothing else.
///
/// Works on a stream: a character or sequence that is cut at the end of a piece waits for the next one.
package struct TerminalFilter: Sendable {
    private enum Sequence { case none, unfinished, colour(Int) }

    private static let escape: UInt8 = 0x1B
    /// A longer sequence is none.
    private static let longestColour = 64

    private var partial: [UInt8] = []
    private var isColoured = false

    package init() {}

    package mutating func take(_ bytes: [UInt8]) -> [UInt8] {
        let input = partial + bytes
        partial = []
        var output: [UInt8] = []
        output.reserveCapacity(input.count)
        var index = 0
        while index < input.count {
            switch Self.sequence(input[index...]) {
            case .none: break
            case .unfinished:
                partial = Array(input[index...])
                return output
            case .colour(let length):
                output += input[index..<(index + length)]
                index += length
                isColoured = true
                continue
            }
            let length = Self.length(input[index])
            if length == 1 {
                Self.write(ascii: input[index], &output)
                index += 1
                continue
            }
            let rest = input[index...].prefix(length)
            if length > 1, rest.count < length, rest.dropFirst().allSatisfy(Self.isContinuation) {
                partial = Array(rest)
                break
            }
            if length > 1, rest.count == length, let text = String(validating: rest, as: UTF8.self) {
                Self.write(text, rest, &output)
                index += length
            } else {
                Self.write(hex: input[index], &output)
                index += 1
            }
        }
        return output
    }

    /// What waits for its other half, at the end of the stream, and the end of all colours.
    package mutating func finish() -> [UInt8] {
        var output: [UInt8] = []
        for byte in partial {
            if byte < 0x80 { Self.write(ascii: byte, &output) } else { Self.write(hex: byte, &output) }
        }
        partial = []
        if isColoured { output += [Self.escape] + Array("[0m".utf8) }
        isColoured = false
        return output
    }

    /// What the bytes begin with.
    private static func sequence(_ bytes: ArraySlice<UInt8>) -> Sequence {
        guard bytes.first == escape else { return .none }
        for (position, byte) in bytes.prefix(longestColour).enumerated().dropFirst() {
            switch (position, byte) {
            case (1, UInt8(ascii: "[")): continue
            case (2..., UInt8(ascii: "0")...UInt8(ascii: ";")): continue
            case (2..., UInt8(ascii: "m")): return .colour(position + 1)
            default: return .none
            }
        }
        return bytes.count < longestColour ? .unfinished : .none
    }

    /// Bytes of the character that begins so; 0 = none does.
    private static func length(_ byte: UInt8) -> Int {
        switch byte {
        case 0x00...0x7F: 1
        case 0xC2...0xDF: 2
        case 0xE0...0xEF: 3
        case 0xF0...0xF4: 4
        default: 0
        }
    }

    private static func isContinuation(_ byte: UInt8) -> Bool { byte & 0xC0 == 0x80 }

    private static func write(ascii byte: UInt8, _ output: inout [UInt8]) {
        switch byte {
        case UInt8(ascii: "\n"), UInt8(ascii: "\r"), UInt8(ascii: "\t"), 0x20...0x7E: output.append(byte)
        case 0x7F: output += "^?".utf8
        default: output += [UInt8(ascii: "^"), byte + 0x40]
        }
    }

    /// The second set of control characters, and those that turn the direction of writing, act on terminals too.
    private static func write(_ text: String, _ bytes: ArraySlice<UInt8>, _ output: inout [UInt8]) {
        let isHarmless = text.unicodeScalars.allSatisfy { scalar in
            switch scalar.value {
            case 0x80...0x9F, 0x200E, 0x200F, 0x202A...0x202E, 0x2066...0x2069: false
            default: true
            }
        }
        if isHarmless { output += bytes } else { for byte in bytes { write(hex: byte, &output) } }
    }

    private static func write(hex byte: UInt8, _ output: inout [UInt8]) {
        let digits = String(byte, radix: 16)
        output += (digits.utf8.count == 1 ? "\\x0" : "\\x").utf8
        output += digits.utf8
    }
}
