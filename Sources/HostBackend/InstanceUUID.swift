/// Nova's identity of an instance: a canonical lower-case UUID. The key of every registry, and the name of the
/// instance's directory.
package struct InstanceUUID: Sendable, Hashable, Comparable, CustomStringConvertible {
    /// 36 characters, lower case, with dashes.
    package let text: String

    /// Accepts upper and lower case, with or without dashes or braces; `nil` for anything else.
    package init?(_ text: some StringProtocol) {
        var digits: [UInt8] = []
        digits.reserveCapacity(32)
        for byte in text.utf8 {
            switch byte {
            case UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "a")...UInt8(ascii: "f"):
                digits.append(byte)
            case UInt8(ascii: "A")...UInt8(ascii: "F"):
                digits.append(byte | 0x20)
            case UInt8(ascii: "-"), UInt8(ascii: "{"), UInt8(ascii: "}"):
                continue
            default:
                return nil
            }
            if digits.count > 32 { return nil }
        }
        guard digits.count == 32 else { return nil }
        for offset in [20, 16, 12, 8] { digits.insert(UInt8(ascii: "-"), at: offset) }
        self.text = String(decoding: digits, as: UTF8.self)
    }

    package var description: String { text }

    package static func < (left: InstanceUUID, right: InstanceUUID) -> Bool { left.text < right.text }
}
