package import Support

/// The form of a record on disk and between hosts: a JSON object, so that a later release can add members. Members that
/// are `nil` or at their default are left out.
extension InstanceRecord {
    package var json: JSONObject {
        var json: JSONObject = [
            "uuid": .string(uuid.text),
            "name": .string(name),
            "memory_mb": .int(Int64(memoryMB)),
            "vcpus": .int(Int64(vcpus)),
            "root_gb": .int(Int64(rootGB)),
            "ephemeral_gb": .array(ephemeralGB.map { .int(Int64($0)) }),
            "config_drive": .bool(configDrive),
            "metadata": .object(JSONObject(metadata.sorted { $0.key < $1.key }.map { ($0.key, .string($0.value)) })),
            "interfaces": .array(interfaces.map { .object($0.json) }),
            "disks": .array(disks.map { .object($0.json) }),
            "complete": .bool(complete),
            "state": .string(state.rawValue),
            "created_at": .int(createdAt),
        ]
        json["image_ref"] = imageRef.map(JSONValue.string)
        json["spawn_request"] = spawnRequest.map(JSONValue.string)
        json["move"] = move.map { .object($0.json) }
        json["arrived_by"] = arrivedBy.map(JSONValue.string)
        if generation > 0 { json["generation"] = .int(Int64(generation)) }
        if !volumes.isEmpty { json["volumes"] = .array(volumes.map { .object($0.json) }) }
        return json
    }

    /// `nil` when a member that every release writes is missing or of another type.
    package init?(json: JSONObject) {
        guard let uuid = json["uuid"]?.stringValue.flatMap({ InstanceUUID($0) }),
            let name = json["name"]?.stringValue,
            let memoryMB = json["memory_mb"]?.intValue,
            let vcpus = json["vcpus"]?.intValue,
            let rootGB = json["root_gb"]?.intValue,
            let state = json["state"]?.stringValue.flatMap(MachineState.init(rawValue:)),
            let complete = json["complete"]?.boolValue,
            let createdAt = json["created_at"]?.intValue
        else { return nil }
        let interfaces = json["interfaces"]?.arrayValue ?? []
        let disks = json["disks"]?.arrayValue ?? []
        let volumes = json["volumes"]?.arrayValue ?? []
        self.init(
            uuid: uuid,
            name: name,
            memoryMB: Int(memoryMB),
            vcpus: Int(vcpus),
            rootGB: Int(rootGB),
            ephemeralGB: (json["ephemeral_gb"]?.arrayValue ?? []).compactMap { $0.intValue.map { Int($0) } },
            imageRef: json["image_ref"]?.stringValue,
            configDrive: json["config_drive"]?.boolValue ?? false,
            metadata: Dictionary(
                (json["metadata"]?.objectValue ?? [:]).compactMap { member in
                    member.value.stringValue.map { (member.key, $0) }
                },
                uniquingKeysWith: { $1 }
            ),
            interfaces: interfaces.compactMap { $0.objectValue.flatMap(NetworkInterface.init(json:)) },
            disks: disks.compactMap { $0.objectValue.flatMap(DiskAttachment.init(json:)) },
            volumes: volumes.compactMap { $0.objectValue.flatMap(VolumeConnection.init(json:)) },
            complete: complete,
            state: state,
            spawnRequest: json["spawn_request"]?.stringValue,
            createdAt: createdAt,
            move: json["move"]?.objectValue.flatMap(InstanceMove.init(json:)),
            arrivedBy: json["arrived_by"]?.stringValue
        )
        generation = json["generation"]?.intValue.map { Int(clamping: $0) } ?? 0
        guard self.interfaces.count == interfaces.count, self.disks.count == disks.count,
            self.volumes.count == volumes.count
        else { return nil }
    }
}

extension InstanceMove {
    var json: JSONObject {
        var json: JSONObject = [
            "role": .string(role.rawValue),
            "peer": .string(peer),
            "transfer": .string(transfer),
            "shares_directory": .bool(sharesDirectory),
        ]
        if isPrepared { json["prepared"] = true }
        json["resize"] = resize.map { .object($0.json) }
        return json
    }

    init?(json: JSONObject) {
        guard let role = json["role"]?.stringValue.flatMap(Role.init(rawValue:)),
            let peer = json["peer"]?.stringValue,
            let transfer = json["transfer"]?.stringValue,
            let sharesDirectory = json["shares_directory"]?.boolValue
        else { return nil }
        self.init(
            role: role,
            peer: peer,
            transfer: transfer,
            sharesDirectory: sharesDirectory,
            isPrepared: json["prepared"]?.boolValue ?? false,
            resize: json["resize"]?.objectValue.flatMap(InstanceResize.init(json:))
        )
    }
}

extension NetworkInterface {
    var json: JSONObject {
        var json: JSONObject = [
            "id": .string(id),
            "mac_address": .string(macAddress),
            "type": .string(type),
            "active": .bool(active),
        ]
        json["bridge"] = bridge.map(JSONValue.string)
        json["device_name"] = deviceName.map(JSONValue.string)
        return json
    }

    init?(json: JSONObject) {
        guard let id = json["id"]?.stringValue,
            let macAddress = json["mac_address"]?.stringValue,
            let type = json["type"]?.stringValue
        else { return nil }
        self.init(
            id: id,
            macAddress: macAddress,
            type: type,
            bridge: json["bridge"]?.stringValue,
            deviceName: json["device_name"]?.stringValue,
            active: json["active"]?.boolValue ?? true
        )
    }
}

extension DiskAttachment {
    var json: JSONObject {
        var json: JSONObject = [
            "role": .string(role.rawValue),
            "media": .string(media.rawValue),
            "path": .string(path),
            "format": .string(format),
            "bus": .string(address.bus.rawValue),
            "controller": .int(Int64(address.controller)),
            "unit": .int(Int64(address.unit)),
        ]
        json["identifier"] = identifier.map(JSONValue.string)
        return json
    }

    init?(json: JSONObject) {
        guard let role = json["role"]?.stringValue.flatMap(Role.init(rawValue:)),
            let media = json["media"]?.stringValue.flatMap(Media.init(rawValue:)),
            let path = json["path"]?.stringValue,
            let format = json["format"]?.stringValue,
            let bus = json["bus"]?.stringValue.flatMap(DeviceAddress.Bus.init(rawValue:)),
            let controller = json["controller"]?.intValue,
            let unit = json["unit"]?.intValue
        else { return nil }
        self.init(
            role: role,
            media: media,
            path: path,
            format: format,
            address: DeviceAddress(bus: bus, controller: Int(controller), unit: Int(unit)),
            identifier: json["identifier"]?.stringValue
        )
    }
}

extension VolumeConnection {
    var json: JSONObject {
        var json: JSONObject = [
            "volume_id": .string(volumeID),
            "type": .string(type),
            "data": .object(data.secret),
            "is_boot": .bool(isBootVolume),
        ]
        json["mount_device"] = mountDevice.map(JSONValue.string)
        return json
    }

    init?(json: JSONObject) {
        guard let volumeID = json["volume_id"]?.stringValue,
            let type = json["type"]?.stringValue,
            let data = json["data"]?.objectValue
        else { return nil }
        self.init(
            volumeID: volumeID,
            type: type,
            data: Redacted(data),
            mountDevice: json["mount_device"]?.stringValue,
            isBootVolume: json["is_boot"]?.boolValue ?? false
        )
    }
}
