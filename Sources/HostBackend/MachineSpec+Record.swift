package import Support

/// Machine definitions as backends keep them in files. Connection data of volumes are not part of a definition.
extension MachineSpec {
    package var record: JSONObject {
        [
            "uuid": .string(uuid.text),
            "name": .string(name),
            "directory": .string(directory),
            "memory_mb": .int(Int64(memoryMB)),
            "startup_memory_mb": .int(Int64(startupMemoryMB)),
            "vcpus": .int(Int64(vcpus)),
            "limit_cpu_features": .bool(limitCPUFeatures),
            "enable_metrics": .bool(enableMetrics),
            "disks": .array(disks.map { .object($0.record) }),
            "interfaces": .array(interfaces.map { .object($0.record) }),
            "metadata": .object(JSONObject(metadata.sorted { $0.key < $1.key }.map { ($0.key, .string($0.value)) })),
        ]
    }

    /// Throws `internal` when the identity is missing; other members have defaults.
    package init(record: JSONObject) throws(BackendError) {
        guard let uuid = record["uuid"]?.stringValue.flatMap({ InstanceUUID($0) }),
            let name = record["name"]?.stringValue, let directory = record["directory"]?.stringValue
        else { throw BackendError(.internal, "the machine's record lacks its identity") }
        var metadata: [String: String] = [:]
        for (key, value) in record["metadata"]?.objectValue ?? [:] { metadata[key] = value.stringValue }
        self.init(
            uuid: uuid,
            name: name,
            directory: directory,
            memoryMB: Int(clamping: record.count("memory_mb")),
            startupMemoryMB: Int(clamping: record.count("startup_memory_mb")),
            vcpus: Int(clamping: record.count("vcpus")),
            limitCPUFeatures: record["limit_cpu_features"]?.boolValue ?? false,
            enableMetrics: record["enable_metrics"]?.boolValue ?? false,
            disks: record["disks"]?.arrayValue?.compactMap { DiskAttachment(record: $0) } ?? [],
            interfaces: record["interfaces"]?.arrayValue?.compactMap { NetworkInterface(record: $0) } ?? [],
            metadata: metadata
        )
    }
}

extension DiskAttachment {
    package var record: JSONObject {
        var record: JSONObject = [
            "role": .string(role.rawValue),
            "media": .string(media.rawValue),
            "path": .string(path),
            "format": .string(format),
            "bus": .string(address.bus.rawValue),
            "controller": .int(Int64(address.controller)),
            "unit": .int(Int64(address.unit)),
        ]
        if let identifier { record["identifier"] = .string(identifier) }
        return record
    }

    package init?(record: JSONValue) {
        guard let role = record["role"]?.stringValue.flatMap(Role.init(rawValue:)),
            let media = record["media"]?.stringValue.flatMap(Media.init(rawValue:)),
            let path = record["path"]?.stringValue, let format = record["format"]?.stringValue,
            let bus = record["bus"]?.stringValue.flatMap(DeviceAddress.Bus.init(rawValue:))
        else { return nil }
        self.init(
            role: role,
            media: media,
            path: path,
            format: format,
            address: DeviceAddress(
                bus: bus,
                controller: Int(record["controller"]?.intValue ?? 0),
                unit: Int(record["unit"]?.intValue ?? 0)
            ),
            identifier: record["identifier"]?.stringValue
        )
    }
}

extension NetworkInterface {
    package var record: JSONObject {
        var record: JSONObject = [
            "id": .string(id), "mac": .string(macAddress), "type": .string(type), "active": .bool(active),
        ]
        if let bridge { record["bridge"] = .string(bridge) }
        if let deviceName { record["device"] = .string(deviceName) }
        return record
    }

    package init?(record: JSONValue) {
        guard let id = record["id"]?.stringValue, let mac = record["mac"]?.stringValue else { return nil }
        self.init(
            id: id,
            macAddress: mac,
            type: record["type"]?.stringValue ?? "bridge",
            bridge: record["bridge"]?.stringValue,
            deviceName: record["device"]?.stringValue,
            active: record["active"]?.boolValue ?? true
        )
    }
}

extension JSONObject {
    /// A number that counts something; 0 when absent.
    package func count(_ key: String) -> UInt64 { self[key]?.intValue.map { UInt64(clamping: $0) } ?? 0 }
}
