/// Text that a plugin sent, which is data: made fit to be shown.
package enum PluginText {
    /// How much of what was not understood is shown, in bytes.
    package static let shownBytes = 200

    /// The text without control characters: `\n` and the like as escapes, at most `limit` bytes of it.
    package static func escaped(_ text: String, limit: Int = PluginFault.maximumMessage) -> String {
        let short = cut(text, to: limit)
        guard short.unicodeScalars.contains(where: isControl) else { return short }
        var shown = ""
        for scalar in short.unicodeScalars {
            switch scalar {
            case "\n": shown += "\\n"
            case "\r": shown += "\\r"
            case "\t": shown += "\\t"
            case let scalar where isControl(scalar): shown += "\\u{\(String(scalar.value, radix: 16))}"
            default: shown.unicodeScalars.append(scalar)
            }
        }
        return shown
    }

    /// Bytes that may be no text at all, shown the same way.
    package static func escaped(_ bytes: some Collection<UInt8>) -> String {
        let shown = bytes.prefix(shownBytes)
        let text = escaped(String(decoding: shown, as: UTF8.self), limit: 2 * shownBytes)
        return shown.count < bytes.count ? text + "…" : text
    }

    /// At most so many bytes of the text, whole characters only.
    package static func cut(_ text: String, to limit: Int) -> String {
        guard text.utf8.count > limit else { return text }
        var end = text.utf8.index(text.startIndex, offsetBy: limit)
        while end > text.startIndex, end.samePosition(in: text.unicodeScalars) == nil {
            end = text.utf8.index(before: end)
        }
        return String(text[..<end]) + "…"
    }

    /// Controls, and the marks that reorder or hide what stands around them.
    private static func isControl(_ scalar: Unicode.Scalar) -> Bool {
        switch scalar.value {
        case 0..<0x20, 0x7F...0x9F, 0x200B...0x200F, 0x2028...0x202E, 0x2060...0x206F, 0xFEFF: true
        default: false
        }
    }
}
