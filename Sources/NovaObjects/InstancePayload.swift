package import Support

/// What a versioned notification of Nova's says of an instance: `InstancePayload` of `nova.notifications.objects` and the
/// classes made of it, in the versions of Nova 34. Values only; who sends them, and when, is not decided here.
package struct InstancePayload: Sendable, Hashable {
    /// Who asked for what is told of.
    package struct Initiator: Sendable, Hashable {
        package var user: String?
        package var project: String?
        /// `nil` for what a host does of its own accord.
        package var request: String?

        /// - Parameter context: the request's, with the names of any release.
        package init(context: JSONObject) {
            user = (context["user_id"] ?? context["user"])?.stringValue
            project = (context["project_id"] ?? context["tenant"])?.stringValue
            request = user == nil || project == nil ? nil : context["request_id"]?.stringValue
        }
    }

    /// Members that go along as the instance has them, by their names in the payload.
    private static let copied: [(payload: String, instance: String)] = [
        ("uuid", "uuid"), ("user_id", "user_id"), ("tenant_id", "project_id"), ("reservation_id", "reservation_id"),
        ("display_name", "display_name"), ("display_description", "display_description"), ("host_name", "hostname"),
        ("host", "host"), ("node", "node"), ("os_type", "os_type"), ("architecture", "architecture"),
        ("availability_zone", "availability_zone"), ("image_uuid", "image_ref"), ("key_name", "key_name"),
        ("kernel_id", "kernel_id"), ("ramdisk_id", "ramdisk_id"), ("created_at", "created_at"),
        ("launched_at", "launched_at"), ("terminated_at", "terminated_at"), ("deleted_at", "deleted_at"),
        ("updated_at", "updated_at"), ("state", "vm_state"), ("task_state", "task_state"), ("progress", "progress"),
    ]
    private static let powerStates = [
        0: "pending", 1: "running", 3: "paused", 4: "shutdown", 6: "crashed", 7: "suspended",
    ]

    private let instance: NovaInstance
    private let data: JSONObject

    /// - Parameters:
    ///   - instance: with flavor, network info and metadata.
    ///   - blockDevices: `BlockDeviceMapping`s of the instance; `nil` when they are not known.
    /// - Throws: ``NovaObjectError`` when the instance lacks what a payload must have.
    package init(
        _ instance: NovaInstance,
        by initiator: Initiator,
        blockDevices: [NovaObject]? = nil
    ) throws(NovaObjectError) {
        let object = instance.object
        guard let flavor = try object.object("flavor") else {
            throw NovaObjectError(.attribute, "flavor of \(object.name) is not set")
        }
        var data: JSONObject = [:]
        for (name, source) in Self.copied { data[name] = object[source] ?? .null }
        data["power_state"] = instance.powerState.flatMap { Self.powerStates[$0] }.map(JSONValue.string) ?? .null
        data["metadata"] = object["metadata"] ?? .object([:])
        data["locked"] = .bool(object["locked"]?.boolValue ?? false)
        data["auto_disk_config"] = object["auto_disk_config"]?.boolValue == true ? "AUTO" : "MANUAL"
        data["locked_reason"] = object["system_metadata"]?["locked_reason"] ?? .null
        data["request_id"] = initiator.request.map(JSONValue.string) ?? .null
        data["action_initiator_user"] = initiator.user.map(JSONValue.string) ?? .null
        data["action_initiator_project"] = initiator.project.map(JSONValue.string) ?? .null
        data["flavor"] = Self.flavor(flavor).primitive
        data["ip_addresses"] = .array(try Self.addresses(instance))
        data["block_devices"] = blockDevices.map { .array($0.compactMap(Self.blockDevice)) } ?? .null
        data["shares"] = .null
        self.instance = instance
        self.data = data
    }

    // MARK: - The classes

    /// Of an action without members of its own.
    ///
    /// - Parameter fault: what ``exception(_:module:function:message:details:)`` makes; `nil` unless it failed.
    package func action(fault: NovaObject? = nil) -> NovaObject {
        make("InstanceActionPayload", ObjectVersion(1, 9), fault, [:])
    }

    /// Of a boot; keys, tags and certificates are those that the instance carries.
    package func creation(fault: NovaObject? = nil) throws(NovaObjectError) -> NovaObject {
        let object = instance.object
        var keys: [JSONValue] = []
        for key in try object.object("keypairs")?.objects() ?? [] {
            var data: JSONObject = [:]
            for name in ["user_id", "name", "fingerprint", "public_key", "type"] { data[name] = key[name] ?? .null }
            keys.append(NovaObject("KeypairPayload", ObjectVersion(1, 0), data).primitive)
        }
        let tags = try object.object("tags")?.objects().compactMap { $0["tag"] }
        return make(
            "InstanceCreatePayload",
            ObjectVersion(1, 13),
            fault,
            [
                "keypairs": .array(keys), "tags": .array(tags ?? []),
                "trusted_image_certificates": try object.object("trusted_certs")?["ids"] ?? .null,
                "instance_name": .string(instance.name),
            ]
        )
    }

    /// Of a snapshot.
    package func snapshot(image: String, fault: NovaObject? = nil) -> NovaObject {
        make("InstanceActionSnapshotPayload", ObjectVersion(1, 10), fault, ["snapshot_image_id": .string(image)])
    }

    /// Of a volume that is attached or detached.
    package func volume(_ volume: String, fault: NovaObject? = nil) -> NovaObject {
        make("InstanceActionVolumePayload", ObjectVersion(1, 7), fault, ["volume_id": .string(volume)])
    }

    /// Of a rebuild, also on another host.
    package func rebuild(fault: NovaObject? = nil) throws(NovaObjectError) -> NovaObject {
        let certificates = try instance.object.object("trusted_certs")?["ids"] ?? .null
        return make(
            "InstanceActionRebuildPayload",
            ObjectVersion(1, 10),
            fault,
            ["trusted_image_certificates": certificates]
        )
    }

    /// Of a change of size that is about to begin.
    package func resizePreparation(to flavor: NovaObject?, fault: NovaObject? = nil) -> NovaObject {
        make(
            "InstanceActionResizePrepPayload",
            ObjectVersion(1, 4),
            fault,
            ["new_flavor": flavor.map { Self.flavor($0).primitive } ?? .null]
        )
    }

    private func make(
        _ name: String,
        _ version: ObjectVersion,
        _ fault: NovaObject?,
        _ more: JSONObject
    ) -> NovaObject {
        var data = data
        data["fault"] = fault?.primitive ?? .null
        for member in more { data[member.key] = member.value }
        return NovaObject(name, version, data)
    }

    // MARK: - Parts

    /// What went wrong; a payload of its own, and part of others.
    package static func exception(
        _ name: String,
        module: String,
        function: String,
        message: String,
        details: String
    ) -> NovaObject {
        NovaObject(
            "ExceptionPayload",
            ObjectVersion(1, 1),
            [
                "exception": .string(name), "module_name": .string(module), "function_name": .string(function),
                "exception_message": .string(message), "traceback": .string(details),
            ]
        )
    }

    private static func flavor(_ flavor: NovaObject) -> NovaObject {
        var data: JSONObject = [:]
        for name in [
            "flavorid", "memory_mb", "vcpus", "root_gb", "ephemeral_gb", "vcpu_weight", "extra_specs", "projects",
            "description",
        ] { data[name] = flavor[name] ?? .null }
        data["name"] = flavor["name"] ?? ""
        data["swap"] = flavor["swap"] ?? 0
        data["rxtx_factor"] = .double(flavor["rxtx_factor"]?.doubleValue ?? 1)
        data["disabled"] = .bool(flavor["disabled"]?.boolValue ?? false)
        data["is_public"] = .bool(flavor["is_public"]?.boolValue ?? true)
        return NovaObject("FlavorPayload", ObjectVersion(1, 4), data)
    }

    /// Fixed addresses, one after the other.
    private static func addresses(_ instance: NovaInstance) throws(NovaObjectError) -> [JSONValue] {
        var addresses: [JSONValue] = []
        for vif in try instance.networkInfo() {
            for subnet in vif["network"]?["subnets"]?.arrayValue ?? [] {
                for address in subnet["ips"]?.arrayValue ?? [] {
                    let data: JSONObject = [
                        "label": vif["network"]?["label"] ?? "", "mac": vif["address"] ?? .null,
                        "meta": vif["meta"] ?? .object([:]), "port_uuid": vif["id"] ?? .null,
                        "version": address["version"] ?? 4, "address": address["address"] ?? .null,
                        "device_name": vif["devname"] ?? .null,
                    ]
                    addresses.append(NovaObject("IpPayload", ObjectVersion(1, 0), data).primitive)
                }
            }
        }
        return addresses
    }

    /// `nil` for a disk that is no volume.
    private static func blockDevice(_ device: NovaObject) -> JSONValue? {
        guard let volume = device["volume_id"] else { return nil }
        var data: JSONObject = ["volume_id": volume]
        for name in ["device_name", "boot_index", "tag"] { data[name] = device[name] ?? .null }
        data["delete_on_termination"] = .bool(device["delete_on_termination"]?.boolValue ?? false)
        return NovaObject("BlockDevicePayload", ObjectVersion(1, 0), data).primitive
    }
}
