import Support

/// Values as reports show them.
enum ShownValue {
    /// The value with references replaced and secrets hidden; `nil` = not set.
    static func text(_ definition: OptionDefinition, host: String?, in table: OptionTable) -> String? {
        guard let texts = (try? table.resolved(definition, host: host)) ?? nil else { return nil }
        return texts.map { definition.isSecret ? hidden($0) : $0 }.joined(separator: ",")
    }

    /// A URL without its credentials; anything else is hidden as a whole.
    static func hidden(_ text: String) -> String {
        if text.isEmpty { return text }
        guard text.contains("://") else { return "***" }
        let masked = CredentialMask.masking(text)
        return masked.firstIndex(of: "?").map { masked[..<$0] + "?***" } ?? masked
    }

    /// The text as it is written in a file so that reading it gives the text again.
    static func written(_ text: String) -> String {
        let escaped = Substitution.escape(text)
        let needsQuotes =
            escaped.first?.isWhitespace == true || escaped.last?.isWhitespace == true
            || (escaped.count >= 2 && escaped.first == escaped.last && "\"'".contains(escaped.first ?? " "))
        return (needsQuotes ? "\"\(escaped)\"" : escaped).replacing("\n", with: "\n    ")
    }
}
