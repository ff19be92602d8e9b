import JSONCodec
import Support

/// Values for people.
enum WireText {
    /// A value as JSON, cut after 200 characters.
    static func short(_ value: JSONValue) -> String {
        guard let bytes = try? JSONWriter.bytes(of: value, .compact) else { return value.typeName }
        let text = String(decoding: bytes, as: UTF8.self)
        return text.count > 200 ? text.prefix(200) + "…" : text
    }

    static func short(_ object: JSONObject) -> String { short(.object(object)) }
}
