import NovaObjects
import OsloMessaging
import Support

/// Records of what is attached to instances.
extension Conductor {
    private static let interfaceClass = "VirtualInterface"
    private static let volumeClass = "BlockDeviceMapping"

    // MARK: - Interfaces

    /// Makes the record of an interface, if there is none yet. Addresses are unique there, so that each stands with its
    /// port, as Nova writes them.
    func saveInterface(_ vif: JSONValue, of instance: NovaInstance, context: JSONObject) async throws {
        guard let port = vif["id"]?.stringValue, let address = vif["address"]?.stringValue,
            try await interface(port, context) == nil
        else { return }
        let object = settings.versions.make(
            Self.interfaceClass,
            [
                "instance_uuid": .string(instance.uuid), "uuid": .string(port),
                "address": .string("\(address)/\(port)"), "tag": .null,
            ]
        )
        _ = try await act("create", on: object, context: context)
    }

    /// Removes the record of an interface; one that is gone is removed already.
    func dropInterface(_ port: String, context: JSONObject) async throws {
        guard let id = try await interface(port, context)?["id"] else { return }
        let object = NovaObject(
            Self.interfaceClass,
            settings.versions[Self.interfaceClass],
            ["id": id, "uuid": .string(port)]
        )
        _ = try await act("destroy", on: object, context: context)
    }

    private func interface(_ port: String, _ context: JSONObject) async throws -> NovaObject? {
        let value = try await actOnClass(
            Self.interfaceClass,
            "get_by_uuid",
            [],
            ["vif_uuid": .string(port)],
            context: context
        )
        return value.isNull ? nil : try NovaObject(value)
    }

    // MARK: - Volumes

    /// What the instance's disks are, as far as Nova knows.
    func volumes(of uuid: String, context: JSONObject) async throws -> [NovaObject] {
        let value = try await actOnClass(
            Self.volumeClass + "List",
            "get_by_instance_uuid",
            [],
            ["instance_uuid": .string(uuid)],
            context: context
        )
        return try NovaObject(value).objects()
    }

    /// The mapping of a volume to the instance; `nil` when there is none.
    func volume(_ volume: String, of uuid: String, context: JSONObject) async throws -> NovaObject? {
        do {
            let value = try await actOnClass(
                Self.volumeClass,
                "get_by_volume_and_instance",
                [],
                ["volume_id": .string(volume), "instance_uuid": .string(uuid)],
                context: context
            )
            return try NovaObject(value)
        } catch let failure as RemoteFailure where failure.className == "VolumeBDMNotFound" {
            return nil
        }
    }

    /// Makes the mapping of a volume.
    ///
    /// - Returns: the object with what the database has added.
    func createVolume(_ fields: JSONObject, context: JSONObject) async throws -> NovaObject {
        let object = settings.versions.make(Self.volumeClass, fields)
        let updates = try await act("create", on: object, context: context).updates
        return NovaObject(object.name, object.version, Self.merged(fields, updates))
    }

    private static func merged(_ fields: JSONObject, _ updates: JSONObject) -> JSONObject {
        var data = fields
        for update in updates where update.key != "obj_what_changed" { data[update.key] = update.value }
        return data
    }

    /// Writes some attributes of a mapping.
    ///
    /// - Throws: `RemoteFailure` `BDMNotFound` when it is gone.
    func saveVolume(_ mapping: NovaObject, _ changes: JSONObject, context: JSONObject) async throws {
        let object = settings.versions.change(Self.volumeClass, identity: Self.identity(mapping), changes)
        _ = try await act("save", on: object, context: context)
    }

    /// Removes a mapping; one that is gone is removed already.
    func destroyVolume(_ mapping: NovaObject, context: JSONObject) async throws {
        let object = NovaObject(Self.volumeClass, settings.versions[Self.volumeClass], Self.identity(mapping))
        _ = try await act("destroy", on: object, context: context)
    }

    private static func identity(_ mapping: NovaObject) -> JSONObject {
        var identity: JSONObject = [:]
        for name in ["id", "uuid", "instance_uuid", "volume_id"] {
            if let value = mapping[name] { identity[name] = value }
        }
        return identity
    }
}
