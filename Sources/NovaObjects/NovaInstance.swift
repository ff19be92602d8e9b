package import Support

/// An `Instance`, of which a message may carry as little as its identity (Nova's compute RPC, section 1.4).
package struct NovaInstance: Sendable, Hashable {
    package static let className = "Instance"
    package static let major = 2

    package let object: NovaObject
    package let uuid: String
    /// The database's number.
    package let id: Int64?

    /// - Throws: ``NovaObjectError``.
    package init(_ object: NovaObject) throws(NovaObjectError) {
        guard object.name == Self.className else {
            throw NovaObjectError(.unexpectedClass, "Instance is expected, not \(object.name)")
        }
        self.object = object
        uuid = try object.string("uuid")
        id = object["id"]?.intValue
    }

    /// - Throws: ``NovaObjectError``.
    package init(_ value: JSONValue) throws(NovaObjectError) {
        try self.init(try NovaObject(value, as: Self.className, major: Self.major))
    }

    /// What a `save` or `destroy` needs to say which instance it is about.
    package var identity: JSONObject {
        var identity: JSONObject = ["uuid": .string(uuid)]
        if let id { identity["id"] = .int(id) }
        return identity
    }

    package var host: String? { object["host"]?.stringValue }
    package var taskState: String? { object["task_state"]?.stringValue }
    package var vmState: VMState? { object["vm_state"]?.stringValue.flatMap(VMState.init) }
    /// Nova's number.
    package var powerState: Int? { object["power_state"]?.intValue.map { Int($0) } }
    /// Whether the record is marked deleted.
    package var isDeleted: Bool { object["deleted"]?.boolValue == true }
    package var displayName: String? { object["display_name"]?.stringValue }

    /// The name that hypervisors see: Nova makes it of the number, by its default template.
    package var name: String {
        guard let id else { return uuid }
        let digits = String(id, radix: 16)
        return "instance-" + String(repeating: "0", count: max(0, 8 - digits.utf8.count)) + digits
    }

    package var metadata: [String: String] {
        var metadata: [String: String] = [:]
        for member in object["metadata"]?.objectValue ?? [:] { metadata[member.key] = member.value.stringValue }
        return metadata
    }

    /// The cached network info: a list of VIFs, JSON inside a string. Empty when the message does not carry it.
    ///
    /// - Throws: ``NovaObjectError`` when it cannot be read.
    package func networkInfo() throws(NovaObjectError) -> [JSONValue] {
        guard let text = try object.object("info_cache")?["network_info"] else { return [] }
        return try NetworkInfo.list(text)
    }
}
