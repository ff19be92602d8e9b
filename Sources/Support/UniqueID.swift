/// Identifiers as oslo.messaging makes them: a version-4 UUID as 32 lower-case hex digits without dashes
/// (oslo.messaging wire, sections 2.1 and 5).
package enum UniqueID {
    package static func make() -> String {
        var generator = SystemRandomNumberGenerator()
        let high = (generator.next() & 0xFFFF_FFFF_FFFF_0FFF) | 0x4000
        let low = (generator.next() & 0x3FFF_FFFF_FFFF_FFFF) | 0x8000_0000_0000_0000
        return String(unsafeUninitializedCapacity: 32) { buffer in
            for position in 0..<16 {
                buffer[position] = hexDigit(high >> UInt64(60 - position * 4))
                buffer[position + 16] = hexDigit(low >> UInt64(60 - position * 4))
            }
            return 32
        }
    }

    /// The same with dashes, as instance and notification ids are written.
    package static func makeDashed() -> String {
        var text = make()
        for offset in [8, 13, 18, 23] {
            text.insert("-", at: text.index(text.startIndex, offsetBy: offset))
        }
        return text
    }

    private static func hexDigit(_ value: UInt64) -> UInt8 {
        let digit = UInt8(truncatingIfNeeded: value & 0xF)
        return digit < 10 ? 0x30 + digit : 0x57 + digit
    }
}
