package import Support

/// What the two computes of a live migration agree on, in the smallest class that control planes know (Nova's compute
/// RPC, section 7.6). What is said in ``destination`` travels between the computes only: Nova drops attributes that it
/// does not know.
package struct MigrateData: Sendable, Hashable {
    package static let className = "HyperVLiveMigrateData"
    private static let destinationKey = "vmops_destination"

    /// Whether both hosts see the same instance directory; `nil` = not found out yet.
    package var isSharedInstancePath: Bool?
    package var isVolumeBacked: Bool?
    /// The instance's ports: identifier and VIF as the source has it. The conductor binds each to the destination.
    package var vifs: [NovaObject]?
    /// Sent to the source with its check, so that it can ask the destination about details.
    package var destination: String?
    /// Whether the destination has prepared everything.
    package var isPrepared = false

    package init() {}

    /// Reads the object; every class will do, for the conductor passes on what it got.
    ///
    /// - Throws: ``NovaObjectError``.
    package init(_ value: JSONValue) throws(NovaObjectError) {
        let object = try NovaObject(value)
        guard object.name.hasSuffix("LiveMigrateData") else {
            throw NovaObjectError(.unexpectedClass, "LiveMigrateData is expected, not \(object.name)")
        }
        isSharedInstancePath = object["is_shared_instance_path"]?.boolValue
        isVolumeBacked = object["is_volume_backed"]?.boolValue
        destination = object[Self.destinationKey]?.stringValue
        if let list = object["vifs"]?.arrayValue {
            var vifs: [NovaObject] = []
            for value in list { vifs.append(try NovaObject(value)) }
            self.vifs = vifs
        }
    }

    /// The object for a message.
    package func object(_ versions: ObjectVersions) -> NovaObject {
        var object = versions.make(Self.className, [:])
        if let isSharedInstancePath { object.set("is_shared_instance_path", .bool(isSharedInstancePath)) }
        if let isVolumeBacked { object.set("is_volume_backed", .bool(isVolumeBacked)) }
        if let vifs { object.set("vifs", .array(vifs.map(\.primitive))) }
        if isPrepared {
            object.set("old_vol_attachment_ids", .object([:]))
            object.set("wait_for_vif_plugged", .bool(false))
        }
        // No change of an attribute: the class has none of that name.
        if let destination { object.data[Self.destinationKey] = .string(destination) }
        return object
    }

    /// One port for ``vifs``.
    ///
    /// - Parameter vif: from the instance's network info.
    /// - Returns: `nil` for a VIF without an identifier.
    package static func port(_ vif: JSONValue, _ versions: ObjectVersions) throws(NovaObjectError) -> NovaObject? {
        guard let id = vif["id"]?.stringValue else { return nil }
        return versions.make(
            "VIFMigrateData",
            ["port_id": .string(id), "source_vif": .string(try NetworkInfo.text(vif))]
        )
    }
}
