/// Nova's identity of an instance: a canonical lower-case UUID. The key of every registry, and the name of the
/// instance's directory.
package struct InstanceUUID: Sendable, CustomStringConvertible {
    /// 36 characters, lower case, with dashes.
    package let text: String
    /// The same as a number, which is quicker to compare and to hash.
    private let high: UInt64
    private let low: UInt64

    /// Accepts upper and lower case, with or without dashes or braces; `nil` for anything else.
    package init?(_ text: some StringProtocol) {
        self.init(String(text))
    }

    /// The same.
    package init?(_ text: String) {
        var digits = 0
        var (high, low): (UInt64, UInt64) = (0, 0)
        let bytes = text.utf8.span
        var isCanonical = bytes.count == 36
        for position in 0..<bytes.count {
            let byte = bytes[position]
            let digit: UInt8
            switch byte {
            case UInt8(ascii: "0")...UInt8(ascii: "9"):
                digit = byte &- UInt8(ascii: "0")
            case UInt8(ascii: "a")...UInt8(ascii: "f"):
                digit = byte &- UInt8(ascii: "a") &+ 10
            case UInt8(ascii: "A")...UInt8(ascii: "F"):
                digit = byte &- UInt8(ascii: "A") &+ 10
                isCanonical = false
            case UInt8(ascii: "-"):
                isCanonical = isCanonical && (position == 8 || position == 13 || position == 18 || position == 23)
                continue
            case UInt8(ascii: "{"), UInt8(ascii: "}"):
                isCanonical = false
                continue
            default:
                return nil
            }
            digits &+= 1
            if digits <= 16 { high = high << 4 | UInt64(digit) } else { low = low << 4 | UInt64(digit) }
            if digits > 32 { return nil }
        }
        guard digits == 32 else { return nil }
        self.high = high
        self.low = low
        self.text = isCanonical ? text : Self.canonical(high, low)
    }

    private static func canonical(_ high: UInt64, _ low: UInt64) -> String {
        var text: [UInt8] = []
        text.reserveCapacity(36)
        for position in 0..<32 {
            if [8, 12, 16, 20].contains(position) { text.append(UInt8(ascii: "-")) }
            let word = position < 16 ? high : low
            let digit = UInt8(truncatingIfNeeded: word >> UInt64(60 - position % 16 * 4)) & 15
            text.append(digit < 10 ? UInt8(ascii: "0") + digit : UInt8(ascii: "a") - 10 + digit)
        }
        return String(decoding: text, as: UTF8.self)
    }

    package var description: String { text }
}

extension InstanceUUID: Hashable, Comparable {
    package static func == (left: InstanceUUID, right: InstanceUUID) -> Bool {
        left.high == right.high && left.low == right.low
    }

    package func hash(into hasher: inout Hasher) {
        hasher.combine(high)
        hasher.combine(low)
    }

    package static func < (left: InstanceUUID, right: InstanceUUID) -> Bool {
        left.high == right.high ? left.low < right.low : left.high < right.high
    }
}
