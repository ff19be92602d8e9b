import Console
import HostBackend
import JSONCodec
import Support
import VMOps

/// Results as JSON: the shapes in `schemas/methods`.
enum Results {
    static func info(_ info: InstanceInfo) -> JSONValue {
        var object = JSONObject(minimumCapacity: 20)
        object.append("uuid", .string(info.uuid.text))
        object.append("name", .string(info.name))
        object.append("host", .string(info.host))
        object.append("state", .string(info.state))
        object.append("power_state", .int(Int64(info.powerState)))
        object.append("task", info.task.map(JSONValue.string) ?? .null)
        object.append("memory_mb", .int(Int64(info.memoryMB)))
        object.append("vcpus", .int(Int64(info.vcpus)))
        object.append("root_gb", .int(Int64(info.rootGB)))
        object.append("image_ref", info.imageRef.map(JSONValue.string) ?? .null)
        object.append("metadata", stringMap(info.metadata))
        object.append("created_at", .int(info.createdAt))
        if let machine = info.machine { append(machine, to: &object) }
        if let resize = info.resize { object.append("resize", .string(resize.rawValue)) }
        if let migration = info.migration {
            object.append(
                "migration",
                [
                    "phase": .string(migration.phase.rawValue),
                    "transferred_bytes": count(migration.transferredBytes),
                    "remaining_bytes": count(migration.remainingBytes),
                ]
            )
        }
        return .object(object)
    }

    /// The same read back, as another host wrote it, figures of the host and progress apart.
    static func info(_ value: JSONValue) -> InstanceInfo? {
        guard let uuid = value["uuid"]?.stringValue.flatMap({ InstanceUUID($0) }),
            let name = value["name"]?.stringValue, let host = value["host"]?.stringValue,
            let state = value["state"]?.stringValue, let powerState = value["power_state"]?.intValue,
            let memoryMB = value["memory_mb"]?.intValue, let vcpus = value["vcpus"]?.intValue,
            let rootGB = value["root_gb"]?.intValue, let createdAt = value["created_at"]?.intValue
        else { return nil }
        var metadata: [String: String] = [:]
        for member in value["metadata"]?.objectValue ?? [:] { metadata[member.key] = member.value.stringValue }
        var info = InstanceInfo(
            uuid: uuid,
            name: name,
            host: host,
            state: state,
            powerState: Int(clamping: powerState),
            task: value["task"]?.stringValue,
            memoryMB: Int(clamping: memoryMB),
            vcpus: Int(clamping: vcpus),
            rootGB: Int(clamping: rootGB),
            imageRef: value["image_ref"]?.stringValue,
            metadata: metadata,
            createdAt: createdAt
        )
        info.resize = value["resize"]?.stringValue.flatMap(ResizePhase.init(rawValue:))
        return info
    }

    /// Figures only where the host really knows them.
    private static func append(_ machine: MachineStatus, to object: inout JSONObject) {
        if let value = machine.maxMemoryKB { object.append("max_mem_kb", count(value)) }
        if let value = machine.memoryKB { object.append("mem_kb", count(value)) }
        if let value = machine.cpuCount { object.append("num_cpu", .int(Int64(value))) }
        if let value = machine.cpuTimeNanoseconds { object.append("cpu_time_ns", count(value)) }
    }

    static func resources(_ host: HostInfo) throws -> JSONValue {
        let topology: JSONValue = [
            "sockets": .int(Int64(host.cpuSockets)),
            "cores": .int(Int64(host.cpuCores)),
            "threads": .int(Int64(host.cpuThreads)),
        ]
        let cpu: JSONValue = [
            "arch": .string(host.cpuArchitecture),
            "model": .string(host.cpuModel),
            "vendor": .string(host.cpuVendor),
            "topology": topology,
            "features": .array(host.cpuFeatures.map(JSONValue.string)),
        ]
        return [
            "vcpus": .int(Int64(host.vcpus)),
            "memory_mb": .int(Int64(host.memoryMB)),
            "memory_mb_used": .int(Int64(host.memoryUsedMB)),
            "local_gb": .int(Int64(host.diskGB)),
            "local_gb_used": .int(Int64(host.diskUsedGB)),
            "hypervisor_type": .string(host.hypervisorType),
            "hypervisor_version": .int(Int64(host.hypervisorVersion)),
            "hypervisor_hostname": .string(host.hypervisorHostname),
            "vcpus_used": 0,
            "cpu_info": .string(String(decoding: try JSONWriter.bytes(of: cpu), as: UTF8.self)),
            "supported_instances": [
                [.string(host.cpuArchitecture), .string(host.hypervisorType.lowercased()), .string(host.vmMode)]
            ],
            "numa_topology": nil,
        ]
    }

    static func capabilities(_ capabilities: HostCapabilities) -> JSONValue {
        [
            "capabilities": .array(capabilities.flags.sorted().map { .string($0.rawValue) }),
            "disk_formats": .array(capabilities.diskFormats.map(JSONValue.string)),
            "volume_types": .array(capabilities.volumeTypes.sorted().map(JSONValue.string)),
            "network_types": .array(capabilities.networkTypes.sorted().map(JSONValue.string)),
        ]
    }

    static func count(_ value: UInt64) -> JSONValue {
        Int64(exactly: value).map(JSONValue.int) ?? .bigInteger(String(value))
    }

    static func stringMap(_ map: [String: String]) -> JSONValue {
        if map.isEmpty { return .object(JSONObject()) }
        return .object(JSONObject(map.sorted { $0.key < $1.key }.map { ($0.key, JSONValue.string($0.value)) }))
    }
}
