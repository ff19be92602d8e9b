package import Support

/// An instance as a host told of it.
package struct Instance: Sendable, Hashable {
    /// All that was told: the answer of `get_info`.
    package let info: JSONObject

    package init(_ value: JSONValue) throws(ControlError) {
        guard case .object(let info) = value, info["uuid"]?.stringValue != nil else {
            throw ControlError(.unexpectedAnswer, "an instance was expected, the answer is \(value.typeName)")
        }
        self.info = info
    }

    package var uuid: String { text("uuid") }
    package var name: String { text("name") }
    package var host: String { text("host") }
    package var state: String { text("state") }
    package var task: String? { info["task"]?.stringValue }

    /// How far its live migration is, if it is in one.
    package var migration: MigrationState? { info["migration"].flatMap(MigrationState.init) }

    /// The `instance` argument of methods.
    package var argument: JSONValue { ["uuid": .string(uuid), "name": .string(name)] }

    private func text(_ key: String) -> String { info[key]?.stringValue ?? "-" }
}

/// How far a live migration is.
package struct MigrationState: Sendable, Hashable {
    package let phase: String
    package let transferredBytes: Double
    package let remainingBytes: Double

    package init(phase: String, transferredBytes: Double, remainingBytes: Double) {
        self.phase = phase
        self.transferredBytes = transferredBytes
        self.remainingBytes = remainingBytes
    }

    init?(_ value: JSONValue) {
        guard let phase = value["phase"]?.stringValue else { return nil }
        self.init(
            phase: phase,
            transferredBytes: value["transferred_bytes"]?.doubleValue ?? 0,
            remainingBytes: value["remaining_bytes"]?.doubleValue ?? 0
        )
    }

    /// From 0 to 1; memory that the guest writes again makes it go back.
    package var fraction: Double {
        if phase == "completed" { return 1 }
        let total = transferredBytes + remainingBytes
        return total > 0 ? min(1, max(0, transferredBytes / total)) : 0
    }
}

/// How a user names an instance.
package struct InstanceReference: Sendable, Hashable {
    package let text: String

    package init(_ text: String) { self.text = text }

    /// By uuid when it has the form of one, else by name.
    package var argument: JSONValue { isUUID ? ["uuid": .string(text.lowercased())] : ["name": .string(text)] }

    package var isUUID: Bool {
        let bytes = Array(text.utf8)
        return bytes.count == 36
            && bytes.enumerated().allSatisfy { index, byte in
                [8, 13, 18, 23].contains(index)
                    ? byte == UInt8(ascii: "-") : Character(UnicodeScalar(byte)).isHexDigit
            }
    }
}
