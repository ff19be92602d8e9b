import ComputeRPC
import HostBackend
import JSONCodec
import Logging
import NovaObjects
import OsloMessaging
import Support
import VMOps

/// Volumes of instances (Nova's compute RPC, section 7.8): files that the host sees, named by the connection info of the
/// block device mapping.
extension NovaMethods {
    /// Types of connection whose data may name a file by `device_path` or `path`. A share has to be mounted already.
    private static let fileTypes: Set<String> = ["file", "local", "nfs"]
    private static let defaultPrefix = "/dev/sd"
    /// Letters of one place, which the names of devices end in.
    private static let letters = Array("abcdefghijklmnopqrstuvwxyz")

    var volumes: [RemoteMethod] {
        [
            // Not carried out again after a crash: who had asked has given up by then, and looks after the mapping.
            reading("reserve_block_device_name", ["instance", "volume_id"]) { [self] arguments in
                let instance = try await instance(arguments)
                return try await cloud.refreshes.lane(instance.uuid).run { try await reserve(arguments, instance) }
            },
            mutating("attach_volume", ["instance", "bdm"]) { [self] arguments in
                let instance = try await instance(arguments)
                return try await carryOut(
                    arguments,
                    instance,
                    failure: .silent,
                    undo: { [self] in await undoVolume(arguments, instance) }
                ) {
                    try await attachVolume(arguments, instance)
                }
            },
            mutating("detach_volume", ["instance", "volume_id"]) { [self] arguments in
                let instance = try await instance(arguments)
                return try await carryOut(arguments, instance, failure: .silent) {
                    try await detachVolume(arguments, instance)
                }
            },
        ]
    }

    // MARK: - The name

    /// Makes the mapping, with a name that no other disk of the instance has.
    private func reserve(_ arguments: NovaArguments, _ instance: NovaInstance) async throws -> JSONValue {
        guard let conductor else {
            throw OperationError.notImplemented(
                "reserve_block_device_name needs a conductor, and host \(host) has none"
            )
        }
        let volume = try arguments.string("volume_id")
        if arguments["tag"] != nil { throw NovaFault.taggedVolume }
        if try arguments.bool("multiattach", default: false) { throw NovaFault.multiattach(volume) }
        _ = try await operations.info(try uuid(instance))
        let present = try await conductor.volumes(of: instance.uuid, context: arguments.context)
        guard !present.contains(where: { $0["volume_id"]?.stringValue == volume }) else {
            throw NovaFault.invalidVolume("volume \(volume) already attached")
        }
        let name = try Self.deviceName(
            arguments["device"]?.stringValue,
            root: instance.object["root_device_name"]?.stringValue,
            used: present.compactMap { $0["device_name"]?.stringValue }
        )
        let mapping = try await conductor.createVolume(
            [
                "source_type": "volume", "destination_type": "volume", "instance_uuid": .string(instance.uuid),
                "boot_index": .null, "volume_id": .string(volume), "device_name": .string(name),
                "guest_format": .null, "disk_bus": arguments["disk_bus"] ?? .null,
                "device_type": arguments["device_type"] ?? .null, "tag": .null,
            ],
            context: arguments.context
        )
        return mapping.primitive
    }

    /// The name that is wanted, or the next free one: the prefix is the root disk's whatever the wanted one has.
    ///
    /// - Throws: `InvalidDevicePath`, `DevicePathInUse`, `TooManyDiskDevices`.
    static func deviceName(_ wanted: String?, root: String?, used: [String]) throws -> String {
        let prefix = root.flatMap { parts($0)?.prefix } ?? defaultPrefix
        // The root disk has the first one, also when nobody has written that down.
        let taken = Set(used.compactMap { parts($0)?.letters } + [root.flatMap { parts($0)?.letters } ?? "a"])
        if let wanted {
            guard let wish = parts(wanted) else { throw NovaFault.invalidDevice(wanted) }
            guard !taken.contains(wish.letters) else { throw NovaFault.deviceInUse(wanted) }
            return prefix + wish.letters
        }
        let names = letters.map(String.init) + letters.flatMap { first in letters.map { String([first, $0]) } }
        guard let free = names.first(where: { !taken.contains($0) }) else {
            throw NovaFault.tooManyDevices(names.count)
        }
        return prefix + free
    }

    /// Of a name such as `/dev/vdb1`: what stands before the letters, as far as Nova knows such names, and the letters.
    private static func parts(_ name: String) -> (prefix: String, letters: String)? {
        let path = name.hasPrefix("/dev/") ? name[...].dropFirst(5) : name[...]
        guard let match = path.wholeMatch(of: /(x?[a-z]?d)([a-z]+)[0-9]*/) else { return nil }
        return ("/dev/" + match.1, String(match.2))
    }

    // MARK: - Attach

    private func attachVolume(_ arguments: NovaArguments, _ instance: NovaInstance) async throws -> JSONValue {
        guard let mapping = try arguments.object("bdm"), let volume = mapping["volume_id"]?.stringValue else {
            throw Field("bdm", arguments["bdm"] ?? .null).invalid("names no volume")
        }
        guard let connection = try Self.connection(mapping, volume) else {
            throw Self.unattachable(
                volume,
                "its mapping has no connection_info, and host \(host) has no volume service"
            )
        }
        try await operations.attachVolume(try uuid(instance), try Self.file(connection, mapping), arguments.operation)
        try await conductor?.saveVolume(
            mapping,
            ["connection_info": .string(try NetworkInfo.text(.object(connection)))],
            context: arguments.context
        )
        return .null
    }

    /// The mapping's connection info, with the volume's name in it; `nil` when it has none.
    private static func connection(_ mapping: NovaObject, _ volume: String) throws -> JSONObject? {
        guard let text = mapping["connection_info"]?.stringValue else { return nil }
        let read: JSONValue
        do {
            read = try JSONReader.read(text.utf8.span)
        } catch {
            throw unattachable(volume, "connection_info is no JSON")
        }
        if read.isNull { return nil }
        guard var connection = read.objectValue else { throw unattachable(volume, "connection_info is no object") }
        connection["serial"] = .string(volume)
        return connection
    }

    private static func file(_ connection: JSONObject, _ mapping: NovaObject) throws -> VolumeConnection {
        let field = Field("connection_info", .object(connection))
        let device = try mapping["device_name"].map { try DeviceArguments.deviceName(Field("device_name", $0)) }
        var volume = try DeviceArguments.volume(field, mountDevice: device, isBootVolume: false)
        guard fileTypes.contains(volume.type) else {
            throw unattachable(volume.volumeID, "volumes of type \(volume.type) are not supported")
        }
        volume.type = "file"
        return volume
    }

    private static func unattachable(_ volume: String, _ reason: String) -> OperationError {
        OperationError(
            .volumeAttachFailed,
            "Volume \(volume) could not be attached. Reason: \(reason)",
            details: ["volume_id": volume, "reason": reason]
        )
    }

    /// A volume that could not be attached has no mapping, and nothing of it is left in the machine.
    private func undoVolume(_ arguments: NovaArguments, _ instance: NovaInstance) async {
        guard let mapping = try? arguments.object("bdm"), let volume = mapping["volume_id"]?.stringValue else { return }
        do {
            try await disconnect(volume, instance)
            try await conductor?.destroyVolume(mapping, context: arguments.context)
        } catch {
            logger.error(
                "volume that was not attached is not forgotten",
                metadata: ["instance": "\(instance.uuid)", "volume": "\(volume)", "error": "\(error)"]
            )
        }
    }

    // MARK: - Detach

    private func detachVolume(_ arguments: NovaArguments, _ instance: NovaInstance) async throws -> JSONValue {
        let volume = try arguments.string("volume_id")
        let mapping = try await conductor?.volume(volume, of: instance.uuid, context: arguments.context)
        if conductor != nil, mapping == nil { throw NovaFault.volumeNotAttached(volume) }
        _ = try await operations.info(try uuid(instance))
        try await disconnect(volume, instance)
        if let mapping { try await conductor?.destroyVolume(mapping, context: arguments.context) }
        return .null
    }

    /// Takes a volume out of the machine, if both are there.
    private func disconnect(_ volume: String, _ instance: NovaInstance) async throws {
        guard let uuid = InstanceUUID(instance.uuid), try await operations.presentInfo(uuid) != nil else { return }
        let name = try DeviceArguments.identifier(Field("volume_id", .string(volume)))
        // The host knows its place by its name.
        let connection = VolumeConnection(volumeID: name, type: "file", data: Redacted([:]))
        try await operations.detachVolume(uuid, connection, OperationContext())
    }
}
