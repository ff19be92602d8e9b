package import HostBackend
package import Support

/// The members of an object that the other side sent, read with checks.
///
/// A plugin's answers are wrong with `internal`, a worker's params with `invalid_argument`. `null` means the same as
/// not there.
package struct PluginMembers: Sendable {
    /// The longest name, in bytes (plugin protocol, section 4).
    package static let nameBytes = 128
    /// The longest other string.
    package static let textBytes = 4096

    package let json: JSONObject
    /// What the object is, for messages, such as `machine.create`.
    package let what: String
    let code: BackendError.Code

    package init(_ json: JSONObject, of what: String, code: BackendError.Code) {
        self.json = json
        self.what = what
        self.code = code
    }

    /// The string; `nil` when there is none.
    package func text(_ key: String) -> String? { json[key]?.stringValue }

    package func string(_ key: String, limit: Int = textBytes) throws(BackendError) -> String {
        guard let text = text(key) else { throw wrong(key, "a string") }
        guard text.utf8.count <= limit else { throw wrong(key, "a string of at most \(limit) bytes") }
        return text
    }

    package func optional(_ key: String, limit: Int = textBytes) throws(BackendError) -> String? {
        has(key) ? try string(key, limit: limit) : nil
    }

    package func name(_ key: String, default value: String? = nil) throws(BackendError) -> String {
        if let value, !has(key) { return value }
        return try string(key, limit: Self.nameBytes)
    }

    package func flag(_ key: String, default value: Bool) -> Bool { json[key]?.boolValue ?? value }

    package func integer(_ key: String, default value: Int? = nil) throws(BackendError) -> Int {
        if let value, !has(key) { return value }
        guard let number = json[key]?.intValue else { throw wrong(key, "an integer") }
        return Int(number)
    }

    /// Something counted: not negative.
    package func count(_ key: String, default value: UInt64? = nil) throws(BackendError) -> UInt64 {
        if let value, !has(key) { return value }
        guard let number = json[key]?.intValue, number >= 0 else { throw wrong(key, "a number that counts something") }
        return UInt64(number)
    }

    package func optionalCount(_ key: String) throws(BackendError) -> UInt64? {
        has(key) ? try count(key) : nil
    }

    package func uuid(_ key: String = "uuid") throws(BackendError) -> InstanceUUID {
        guard let uuid = text(key).flatMap({ InstanceUUID($0) }) else { throw wrong(key, "a UUID") }
        return uuid
    }

    package func choice<Choice: RawRepresentable>(_ key: String) throws(BackendError) -> Choice
    where Choice.RawValue == String {
        guard let choice = text(key).flatMap(Choice.init(rawValue:)) else { throw wrong(key, "a known word") }
        return choice
    }

    package func object(_ key: String) throws(BackendError) -> JSONObject {
        guard let object = json[key]?.objectValue else { throw wrong(key, "an object") }
        return object
    }

    /// The members of a member; without it there are none.
    package func members(_ key: String) throws(BackendError) -> PluginMembers {
        PluginMembers(has(key) ? try object(key) : [:], of: "\(what): \(key)", code: code)
    }

    /// A list, all of whose elements can be read.
    package func objects<Element>(
        _ key: String,
        of kind: String,
        _ read: (JSONValue) -> Element?
    ) throws(BackendError) -> [Element] {
        guard has(key) else { return [] }
        guard let elements = json[key]?.arrayValue else { throw wrong(key, "a list") }
        var values: [Element] = []
        values.reserveCapacity(elements.count)
        for element in elements {
            guard let value = read(element) else { throw wrong(key, "a list whose elements are each a valid \(kind)") }
            values.append(value)
        }
        return values
    }

    /// An object of strings; other members are left out.
    package func texts(_ key: String) -> [String: String] {
        var texts: [String: String] = [:]
        for (key, value) in json[key]?.objectValue ?? [:] { texts[key] = value.stringValue }
        return texts
    }

    package func has(_ key: String) -> Bool { json[key].map { !$0.isNull } ?? false }

    package func wrong(_ key: String, _ wanted: String) -> BackendError {
        let found = json[key].map { "is no such thing (\($0.typeName))" } ?? "is missing"
        return BackendError(code, "\(what): \(key) must be \(wanted), and \(found)")
    }
}
