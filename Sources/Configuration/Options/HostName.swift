/// What may be the name of a host: it is a routing key, a part of queue names, and a directory.
enum HostName {
    /// An AMQP short string holds 255 bytes; the queue of a host is `<topic>.<host>` (oslo.messaging wire, section
    /// 2.1).
    static let longestRoutingKey = 255

    static func check(_ text: String) throws(ValueError) -> String {
        guard !text.isEmpty else { throw ValueError("the name of a host must not be empty") }
        guard text != ".", text != ".." else { throw ValueError("\(ValueParser.quoted(text)) cannot name a host") }
        for scalar in text.unicodeScalars {
            guard scalar.value > 0x20, scalar.value != 0x7F, !scalar.properties.isWhitespace else {
                throw ValueError("host \(ValueParser.quoted(text)) holds white space or a control character")
            }
            guard !"/*#,".unicodeScalars.contains(scalar) else {
                throw ValueError("host \(ValueParser.quoted(text)) holds '\(scalar)'")
            }
        }
        guard text.utf8.count <= longestRoutingKey else {
            throw ValueError("host \(ValueParser.quoted(text)) is longer than \(longestRoutingKey) bytes")
        }
        return text
    }

    /// The complaint about a host whose queue names would not fit, `nil` when they do.
    static func complaint(about host: String, topics: [String]) -> String? {
        guard let longest = topics.map(\.utf8.count).max() else { return nil }
        let length = longest + 1 + host.utf8.count
        guard length > longestRoutingKey else { return nil }
        return "host \(ValueParser.quoted(host)) makes routing keys of \(length) bytes, "
            + "more than the \(longestRoutingKey) of AMQP"
    }
}
