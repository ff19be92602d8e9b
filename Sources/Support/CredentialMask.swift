/// Hides the credentials of URLs inside arbitrary text.
package enum CredentialMask {
    /// The text with the user information of every `scheme://user:password@host` replaced by `***`.
    ///
    /// Errs on the hiding side: whatever stands between `://` and the last `@` before white space is masked when it
    /// cannot be told apart cleanly, because a password may hold any character.
    package static func masking(_ text: String) -> String {
        guard text.utf8.contains(UInt8(ascii: "@")) else { return text }
        var result = ""
        var rest = text[...]
        while let separator = rest.firstRange(of: "://") {
            result += rest[..<separator.upperBound]
            rest = rest[separator.upperBound...]
            let end = rest.firstIndex(where: \.isWhitespace) ?? rest.endIndex
            result += masked(rest[..<end])
            rest = rest[end...]
        }
        return result + rest
    }

    private static func masked(_ token: Substring) -> String {
        guard let lastAt = token.lastIndex(of: "@") else { return String(token) }
        let tail = token[lastAt...]
        let credentials = token[..<lastAt]
        guard !credentials.contains(where: { "/?#".contains($0) }) else { return "***" + tail }
        let authorityEnd = tail.firstIndex { "/?#".contains($0) } ?? token.endIndex
        let parts = token[..<authorityEnd].split(separator: ",", omittingEmptySubsequences: false)
        return parts.map(maskedPart).joined(separator: ",") + token[authorityEnd...]
    }

    private static func maskedPart(_ part: Substring) -> String {
        if let at = part.lastIndex(of: "@") { return "***" + part[at...] }
        // Without an `@` it must be a plain host with a port; anything else may be a piece of a password.
        let pieces = part.split(separator: ":", omittingEmptySubsequences: false)
        let isBracketed = part.first == "["
        let isPlain = pieces.count == 1 || (pieces.count == 2 && pieces[1].allSatisfy(\.isWholeNumber))
        return isBracketed || isPlain ? String(part) : "***"
    }
}
