package import Support

/// One of Nova's versioned objects as it travels (Nova's compute RPC, section 3.1).
///
/// Only attributes that are set have a member in ``data``: an absent one is not null. Attributes nobody here knows are
/// kept as they are and mean nothing. Nested objects stand in ``data`` in the same form.
package struct NovaObject: Sendable, Hashable {
    private static let nameKey = "nova_object.name"
    private static let namespaceKey = "nova_object.namespace"
    private static let versionKey = "nova_object.version"
    private static let dataKey = "nova_object.data"
    private static let changesKey = "nova_object.changes"
    /// What Nova's own objects have as namespace.
    package static let namespace = "nova"

    package var name: String
    package var version: ObjectVersion
    package var data: JSONObject
    /// The attributes that were set since the object was loaded: a `save` writes these and no others.
    package var changes: Set<String>

    package init(_ name: String, _ version: ObjectVersion, _ data: JSONObject = [:], changes: Set<String> = []) {
        self.name = name
        self.version = version
        self.data = data
        self.changes = changes
    }

    /// An object all of whose attributes are new.
    package static func made(_ name: String, _ version: ObjectVersion, _ data: JSONObject) -> NovaObject {
        NovaObject(name, version, data, changes: Set(data.keys))
    }

    /// Whether a value has the form of an object, of whatever class.
    package static func isObject(_ value: JSONValue) -> Bool { value[nameKey] != nil }

    // MARK: On the wire

    /// Reads an object.
    ///
    /// - Throws: ``NovaObjectError`` `malformed`.
    package init(_ value: JSONValue) throws(NovaObjectError) {
        guard let object = value.objectValue else {
            throw NovaObjectError(.malformed, "an object is expected, not \(value.typeName)")
        }
        guard let name = object[Self.nameKey]?.stringValue, !name.isEmpty else {
            throw NovaObjectError(.malformed, "\(Self.nameKey) is missing or no string")
        }
        guard object[Self.namespaceKey]?.stringValue == Self.namespace else {
            throw NovaObjectError(.malformed, "\(name) is not in namespace \(Self.namespace)")
        }
        guard let version = object[Self.versionKey]?.stringValue.flatMap(ObjectVersion.init) else {
            throw NovaObjectError(.malformed, "\(name) has no version that can be read")
        }
        guard let data = object[Self.dataKey]?.objectValue else {
            throw NovaObjectError(.malformed, "\(name) has no data")
        }
        self.init(name, version, data)
        switch object[Self.changesKey] {
        case nil, .null?: break
        case .array(let names)?: changes = Set(names.compactMap(\.stringValue))
        default: throw NovaObjectError(.malformed, "\(Self.changesKey) of \(name) is no list")
        }
    }

    /// The same, of a class and a major version that the reader knows; any minor version will do.
    ///
    /// - Throws: ``NovaObjectError`` `malformed`, `unexpectedClass`, `incompatibleVersion`.
    package init(_ value: JSONValue, as name: String, major: Int) throws(NovaObjectError) {
        try self.init(value)
        guard self.name == name else {
            throw NovaObjectError(.unexpectedClass, "\(name) is expected, not \(self.name)")
        }
        guard version.major == major else {
            throw NovaObjectError(.incompatibleVersion, "\(name) \(version) is not of major version \(major)")
        }
    }

    /// The object for a message. Changes are listed in order, so that equal objects are equal texts.
    package var primitive: JSONValue {
        var object = JSONObject(minimumCapacity: 5)
        object.append(Self.nameKey, .string(name))
        object.append(Self.namespaceKey, .string(Self.namespace))
        object.append(Self.versionKey, .string(version.description))
        object.append(Self.dataKey, .object(data))
        if !changes.isEmpty {
            object.append(Self.changesKey, .array(changes.sorted().map(JSONValue.string)))
        }
        return .object(object)
    }

    // MARK: Attributes

    /// Whether the attribute is set, also to null.
    package func isSet(_ attribute: String) -> Bool { data[attribute] != nil }

    /// The attribute; `nil` when it is not set or null.
    package subscript(attribute: String) -> JSONValue? {
        guard let value = data[attribute], !value.isNull else { return nil }
        return value
    }

    /// Sets an attribute and notes the change.
    package mutating func set(_ attribute: String, _ value: JSONValue) {
        data[attribute] = value
        changes.insert(attribute)
    }

    /// A text attribute.
    ///
    /// - Throws: ``NovaObjectError`` `attribute`.
    package func string(_ attribute: String) throws(NovaObjectError) -> String {
        guard let text = self[attribute]?.stringValue else { throw missing(attribute, "a string") }
        return text
    }

    /// A numeric attribute.
    ///
    /// - Throws: ``NovaObjectError`` `attribute`.
    package func integer(_ attribute: String) throws(NovaObjectError) -> Int64 {
        guard let number = self[attribute]?.intValue else { throw missing(attribute, "an integer") }
        return number
    }

    /// A nested object; `nil` when it is not set or null.
    package func object(_ attribute: String) throws(NovaObjectError) -> NovaObject? {
        guard let value = self[attribute] else { return nil }
        return try NovaObject(value)
    }

    /// The members of a list object.
    package func objects() throws(NovaObjectError) -> [NovaObject] {
        guard let list = self["objects"]?.arrayValue else { throw missing("objects", "a list") }
        var objects: [NovaObject] = []
        for value in list { objects.append(try NovaObject(value)) }
        return objects
    }

    private func missing(_ attribute: String, _ expected: String) -> NovaObjectError {
        let found = data[attribute].map { $0.isNull ? "null" : $0.typeName } ?? "not set"
        return NovaObjectError(.attribute, "\(attribute) of \(name) must be \(expected), and is \(found)")
    }
}
