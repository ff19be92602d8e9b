package import Support

/// The versions in which objects are sent, and asked for.
///
/// They are pinned to those of Nova 26 (Zed): later releases read older objects, and answer no newer ones than the
/// manifest of a request names (Nova's compute RPC, sections 3.2 and 4.1).
package struct ObjectVersions: Sendable, Hashable {
    /// The classes a worker sends, receives, or finds inside of those.
    private static let zed: [String: ObjectVersion] = [
        "BlockDeviceMapping": ObjectVersion(1, 21),
        "BlockDeviceMappingList": ObjectVersion(1, 18),
        "ComputeNode": ObjectVersion(1, 19),
        "ComputeNodeList": ObjectVersion(1, 17),
        "CpuDiagnostics": ObjectVersion(1, 0),
        "Diagnostics": ObjectVersion(1, 0),
        "DiskDiagnostics": ObjectVersion(1, 0),
        "EC2Ids": ObjectVersion(1, 0),
        "Flavor": ObjectVersion(1, 2),
        "HVSpec": ObjectVersion(1, 2),
        "HyperVLiveMigrateData": ObjectVersion(1, 4),
        "ImageMeta": ObjectVersion(1, 8),
        "ImageMetaProps": ObjectVersion(1, 34),
        "Instance": ObjectVersion(2, 7),
        "InstanceAction": ObjectVersion(1, 2),
        "InstanceActionEvent": ObjectVersion(1, 4),
        "InstanceDeviceMetadata": ObjectVersion(1, 0),
        "InstanceFault": ObjectVersion(1, 2),
        "InstanceInfoCache": ObjectVersion(1, 5),
        "InstanceList": ObjectVersion(2, 6),
        "InstanceNUMACell": ObjectVersion(1, 6),
        "InstanceNUMATopology": ObjectVersion(1, 3),
        "InstancePCIRequest": ObjectVersion(1, 3),
        "InstancePCIRequests": ObjectVersion(1, 1),
        "KeyPair": ObjectVersion(1, 4),
        "KeyPairList": ObjectVersion(1, 3),
        "MemoryDiagnostics": ObjectVersion(1, 0),
        "Migration": ObjectVersion(1, 7),
        "MigrationContext": ObjectVersion(1, 2),
        "MigrationList": ObjectVersion(1, 5),
        "NicDiagnostics": ObjectVersion(1, 0),
        "PciDevice": ObjectVersion(1, 7),
        "PciDeviceList": ObjectVersion(1, 3),
        "PciDevicePool": ObjectVersion(1, 1),
        "PciDevicePoolList": ObjectVersion(1, 1),
        "Resource": ObjectVersion(1, 0),
        "ResourceList": ObjectVersion(1, 0),
        "SecurityGroup": ObjectVersion(1, 2),
        "SecurityGroupList": ObjectVersion(1, 1),
        "Service": ObjectVersion(1, 22),
        "ServiceList": ObjectVersion(1, 19),
        "Tag": ObjectVersion(1, 1),
        "TagList": ObjectVersion(1, 1),
        "TrustedCerts": ObjectVersion(1, 0),
        "VIFMigrateData": ObjectVersion(1, 0),
        "VirtCPUModel": ObjectVersion(1, 0),
        "VirtCPUFeature": ObjectVersion(1, 0),
        "VirtCPUTopology": ObjectVersion(1, 0),
        "VirtualInterface": ObjectVersion(1, 3),
    ]

    private var versions: [String: ObjectVersion]

    /// - Parameter overrides: versions in place of Zed's, by class.
    package init(overrides: [String: ObjectVersion] = [:]) {
        versions = Self.zed.merging(overrides) { $1 }
    }

    /// The pinned version; 1.0 for a class nobody here knows.
    package subscript(name: String) -> ObjectVersion { versions[name] ?? ObjectVersion(1, 0) }

    /// Whether the class is known.
    package func has(_ name: String) -> Bool { versions[name] != nil }

    /// `object_versions` of a request: one constant list for all classes, which may name more than the request needs.
    package var manifest: JSONValue {
        .object(JSONObject(versions.sorted { $0.key < $1.key }.map { ($0.key, .string($0.value.description)) }))
    }

    /// An object all of whose attributes are new, in its pinned version.
    package func make(_ name: String, _ data: JSONObject) -> NovaObject { .made(name, self[name], data) }

    /// Enough of an object to change some of its attributes by a `save` (Nova's compute RPC, section 4.1).
    package func change(_ name: String, identity: JSONObject, _ changes: JSONObject) -> NovaObject {
        var data = identity
        for member in changes { data[member.key] = member.value }
        return NovaObject(name, self[name], data, changes: Set(changes.keys))
    }
}
