/// Checks of single values that are more than their form.
enum ValueChecks {
    /// One name of a topic: a routing key without what an exchange or oslo.messaging gives a meaning.
    static func routingWord(_ text: String) throws(ValueError) -> String {
        guard !text.isEmpty else { throw ValueError("must not be empty") }
        guard text.utf8.count <= 200 else { throw ValueError("is longer than 200 bytes") }
        guard text.unicodeScalars.allSatisfy({ $0.value > 0x20 && $0.value != 0x7F && $0 != "*" && $0 != "#" }) else {
            throw ValueError("\(ValueParser.quoted(text)) holds white space, control characters, * or #")
        }
        return text
    }

    static func routingWordOrEmpty(_ text: String) throws(ValueError) -> String {
        text.isEmpty ? text : try routingWord(text)
    }

    static func listenAddress(_ text: String) throws(ValueError) -> String {
        _ = try ListenAddress(parsing: text)
        return text
    }

    static func atLeastOneByteOfText(_ text: String) throws(ValueError) -> String {
        guard !text.isEmpty else { throw ValueError("must not be empty") }
        return text
    }
}
