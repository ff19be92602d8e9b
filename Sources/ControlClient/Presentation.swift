import JSONCodec
package import Support

/// What commands print.
package enum Presentation {
    package static func hosts(_ hosts: [JSONObject]) -> [String] {
        var table = TextTable([
            ("HOST", .left), ("BACKEND", .left), ("INSTANCES", .right), ("OPERATIONS", .right), ("VERSION", .left),
        ])
        for host in hosts {
            table.add(["host", "backend", "instances", "operations", "version"].map { plain(host[$0]) })
        }
        return table.lines
    }

    package static func instances(_ instances: [Instance]) -> [String] {
        var table = TextTable([
            ("NAME", .left), ("UUID", .left), ("HOST", .left), ("STATE", .left), ("TASK", .left), ("VCPUS", .right),
            ("MEMORY_MB", .right), ("ROOT_GB", .right),
        ])
        for instance in instances {
            let keys = ["name", "uuid", "host", "state", "task", "vcpus", "memory_mb", "root_gb"]
            table.add(keys.map { plain(instance.info[$0]) })
        }
        return table.lines
    }

    /// One line per member; members of members behind a dot.
    package static func details(_ object: JSONObject) -> [String] {
        let rows = flattened(object, "")
        let width = rows.map(\.key.count).max() ?? 0
        return rows.map { row in
            "\(row.key)\(String(repeating: " ", count: width - row.key.count))  \(TextTable.printable(row.value))"
        }
    }

    /// `demo is running on host-a`
    package static func sentence(_ instance: Instance) -> String {
        TextTable.printable("\(instance.name) is \(instance.state) on \(instance.host)")
    }

    /// A document in one line; numbers without a JSON form are written as text.
    package static func line(_ value: JSONValue) -> String {
        var writer = JSONWriter(.compact)
        writer.write(writable(value), otherwise: "too deeply nested")
        return String(decoding: writer.bytes, as: UTF8.self)
    }

    private static func writable(_ value: JSONValue) -> JSONValue {
        switch value {
        case .double(let number) where !number.isFinite: .string("\(number)")
        case .array(let elements): .array(elements.map(writable))
        case .object(let members): .object(JSONObject(members.map { ($0.key, writable($0.value)) }))
        default: value
        }
    }

    /// A document with one member or element a line.
    package static func indented(_ value: JSONValue, _ indent: String = "") -> String {
        let inner = indent + "  "
        switch value {
        case .array(let elements) where !elements.isEmpty:
            let lines = elements.map { inner + indented($0, inner) }
            return "[\n" + lines.joined(separator: ",\n") + "\n\(indent)]"
        case .object(let members) where !members.isEmpty:
            let lines = members.map { "\(inner)\(line(.string($0.key))): \(indented($0.value, inner))" }
            return "{\n" + lines.joined(separator: ",\n") + "\n\(indent)}"
        default: return line(value)
        }
    }

    static func plain(_ value: JSONValue?) -> String {
        switch value {
        case nil, .null?: "-"
        case .string(let text)?: text
        case let value?: line(value)
        }
    }

    private static func flattened(_ object: JSONObject, _ prefix: String) -> [(key: String, value: String)] {
        object.flatMap { member -> [(key: String, value: String)] in
            let key = TextTable.printable(prefix + member.key)
            if case .object(let inner) = member.value, !inner.isEmpty { return flattened(inner, key + ".") }
            return [(key, plain(member.value))]
        }
    }
}
