extension ConsoleTail {
    /// The bytes as text: UTF-8, malformed sequences replaced by U+FFFD, a sequence cut at either end left out (VMOps
    /// semantics, section 7.6).
    func text(_ settings: ConsoleSettings) -> String {
        var bytes = isCut ? data.drop(limit: 3) { $0 & 0xC0 == 0x80 } : data
        bytes = bytes.dropLast(Self.unfinished(bytes))
        if settings.stripControl {
            bytes = bytes.filter { ($0 >= 0x20 && $0 != 0x7F) || $0 == 0x09 || $0 == 0x0A }[...]
        }
        var text = String(decoding: bytes, as: UTF8.self)
        if settings.stripControl {
            // The second set of control characters is two bytes each in UTF-8; terminals act on it too.
            text.unicodeScalars.removeAll { (0x80...0x9F).contains($0.value) }
        }
        guard settings.replyCharset == .ascii else { return text }
        return String(String.UnicodeScalarView(text.unicodeScalars.map { $0.isASCII ? $0 : "?" }))
    }

    /// How many bytes at the end begin a character that is not all there.
    private static func unfinished(_ bytes: ArraySlice<UInt8>) -> Int {
        for length in 1...3 where length <= bytes.count {
            let byte = bytes[bytes.endIndex - length]
            switch byte {
            case 0x80...0xBF: continue
            case 0xC2...0xDF: return length < 2 ? length : 0
            case 0xE0...0xEF: return length < 3 ? length : 0
            case 0xF0...0xF4: return length
            default: return 0
            }
        }
        return 0
    }
}

extension ArraySlice<UInt8> {
    /// Leaves out the first bytes that satisfy `condition`, at most `limit`.
    fileprivate func drop(limit: Int, while condition: (UInt8) -> Bool) -> ArraySlice<UInt8> {
        var rest = self
        for _ in 0..<limit {
            guard let first = rest.first, condition(first) else { break }
            rest = rest.dropFirst()
        }
        return rest
    }
}
