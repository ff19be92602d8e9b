/// Looks at eight bytes of text at a time.
enum ByteScan {
    private static let ones: UInt64 = 0x0101_0101_0101_0101
    private static let tops: UInt64 = 0x8080_8080_8080_8080

    /// Marks (with its top bit) the first byte of the word that is a quote, a backslash or a control character.
    ///
    /// Bytes after the first marked one may be marked wrongly.
    @inline(__always)
    static func special(_ word: UInt64) -> UInt64 {
        let quote = word ^ (ones &* 0x22)
        let backslash = word ^ (ones &* 0x5C)
        let found = ((quote &- ones) & ~quote) | ((backslash &- ones) & ~backslash) | ((word &- ones &* 0x20) & ~word)
        return found & tops
    }

    /// The same, with every byte from 0x7F up.
    @inline(__always)
    static func specialOrNotASCII(_ word: UInt64) -> UInt64 {
        special(word) | ((word | (word &+ ones)) & tops)
    }

    /// Whether a byte of the word is outside ASCII.
    @inline(__always)
    static func hasTop(_ word: UInt64) -> Bool { word & tops != 0 }

    /// How many bytes stand before the first marked one.
    @inline(__always)
    static func before(_ marks: UInt64) -> Int { marks.trailingZeroBitCount >> 3 }

    /// Eight bytes of the span; `offset + 8` must be within it.
    @inline(__always)
    static func word(_ bytes: Span<UInt8>, _ offset: Int) -> UInt64 {
        // Safe: every caller compares with the count first. Little endian puts the first byte lowest.
        UInt64(littleEndian: bytes.bytes.unsafeLoadUnaligned(fromUncheckedByteOffset: offset, as: UInt64.self))
    }

    /// Whether no byte is outside ASCII.
    @inline(__always)
    static func isASCII(_ bytes: Span<UInt8>) -> Bool {
        var position = 0
        while position &+ 8 <= bytes.count {
            if hasTop(word(bytes, position)) { return false }
            position &+= 8
        }
        while position < bytes.count {
            if bytes[position] >= 0x80 { return false }
            position &+= 1
        }
        return true
    }

    /// The end of the run of bytes from `start` that need no thought in a JSON string, and whether it is ASCII.
    @inline(__always)
    static func plainRun(_ bytes: Span<UInt8>, from start: Int) -> (end: Int, isASCII: Bool) {
        var position = start
        var isASCII = true
        while position &+ 8 <= bytes.count {
            let word = word(bytes, position)
            let marks = special(word)
            if marks != 0 {
                let length = before(marks)
                let kept = length == 0 ? 0 : word << UInt64(64 - length * 8)
                return (position &+ length, isASCII && !hasTop(kept))
            }
            if hasTop(word) { isASCII = false }
            position &+= 8
        }
        while position < bytes.count {
            let byte = bytes[position]
            if byte == 0x22 || byte == 0x5C || byte < 0x20 { break }
            if byte >= 0x80 { isASCII = false }
            position &+= 1
        }
        return (position, isASCII)
    }
}
