package import HostBackend
package import Support

// The values of host backends as params and results (plugin protocol, section 7). What has a `record` in HostBackend is
// written as that.

extension HostInfo {
    package var json: JSONObject {
        [
            "vcpus": .int(Int64(vcpus)), "memory_mb": .int(Int64(memoryMB)),
            "memory_used_mb": .int(Int64(memoryUsedMB)), "disk_gb": .int(Int64(diskGB)),
            "disk_used_gb": .int(Int64(diskUsedGB)), "hypervisor_type": .string(hypervisorType),
            "hypervisor_version": .int(Int64(hypervisorVersion)),
            "hypervisor_hostname": .string(hypervisorHostname),
            "cpu": [
                "architecture": .string(cpuArchitecture), "model": .string(cpuModel), "vendor": .string(cpuVendor),
                "sockets": .int(Int64(cpuSockets)), "cores": .int(Int64(cpuCores)),
                "threads": .int(Int64(cpuThreads)), "features": .array(cpuFeatures.map { .string($0) }),
            ],
            "vm_mode": .string(vmMode),
        ]
    }

    package init(_ members: PluginMembers) throws(BackendError) {
        let cpu = try members.members("cpu")
        self.init(
            vcpus: try members.integer("vcpus"),
            memoryMB: try members.integer("memory_mb"),
            memoryUsedMB: try members.integer("memory_used_mb", default: 0),
            diskGB: try members.integer("disk_gb", default: 0),
            diskUsedGB: try members.integer("disk_used_gb", default: 0),
            hypervisorType: try members.name("hypervisor_type"),
            hypervisorVersion: try members.integer("hypervisor_version", default: 0),
            hypervisorHostname: try members.string("hypervisor_hostname"),
            cpuArchitecture: try cpu.name("architecture", default: "x86_64"),
            cpuModel: try cpu.name("model", default: ""),
            cpuVendor: try cpu.name("vendor", default: ""),
            cpuSockets: try cpu.integer("sockets", default: 1),
            cpuCores: try cpu.integer("cores", default: 1),
            cpuThreads: try cpu.integer("threads", default: 1),
            cpuFeatures: try cpu.objects("features", of: "name") { $0.stringValue },
            vmMode: try members.name("vm_mode", default: "hvm")
        )
    }
}

extension MachineSummary {
    package var json: JSONObject {
        var json: JSONObject = ["name": .string(name)]
        if let uuid { json["uuid"] = .string(uuid.text) }
        json["state"] = .string(state.rawValue)
        json["incarnation"] = .int(Int64(clamping: incarnation))
        return json
    }

    package init(_ members: PluginMembers) throws(BackendError) {
        self.init(
            name: try members.string("name"),
            uuid: members.has("uuid") ? try members.uuid() : nil,
            state: try members.choice("state"),
            incarnation: try members.count("incarnation", default: 0)
        )
    }
}

extension MachineStatus {
    package var json: JSONObject {
        var json: JSONObject = [
            "uuid": .string(uuid.text), "name": .string(name), "state": .string(state.rawValue),
            "incarnation": .int(Int64(clamping: incarnation)),
        ]
        json["max_memory_kb"] = maxMemoryKB.map { .int(Int64(clamping: $0)) }
        json["memory_kb"] = memoryKB.map { .int(Int64(clamping: $0)) }
        json["cpu_count"] = cpuCount.map { .int(Int64($0)) }
        json["cpu_time_ns"] = cpuTimeNanoseconds.map { .int(Int64(clamping: $0)) }
        json["has_console"] = .bool(hasConsole)
        return json
    }

    package init(_ members: PluginMembers) throws(BackendError) {
        self.init(
            uuid: try members.uuid(),
            name: try members.string("name"),
            state: try members.choice("state"),
            incarnation: try members.count("incarnation", default: 0),
            maxMemoryKB: try members.optionalCount("max_memory_kb"),
            memoryKB: try members.optionalCount("memory_kb"),
            cpuCount: try members.optionalCount("cpu_count").map { Int(clamping: $0) },
            cpuTimeNanoseconds: try members.optionalCount("cpu_time_ns"),
            hasConsole: members.flag("has_console", default: true)
        )
    }
}

extension ShutdownAnswer {
    package var name: String {
        switch self {
        case .accepted: "accepted"
        case .notReady: "not_ready"
        case .unsupported: "unsupported"
        }
    }

    package init(_ members: PluginMembers) throws(BackendError) {
        switch members.text("answer") {
        case "accepted": self = .accepted
        case "not_ready": self = .notReady
        case "unsupported": self = .unsupported
        default: throw members.wrong("answer", "accepted, not_ready or unsupported")
        }
    }
}

extension ImageInfo {
    package var json: JSONObject {
        [
            "reference": .string(reference), "path": .string(path), "format": .string(format),
            "virtual_size": .int(Int64(clamping: virtualSize)),
        ]
    }

    package init(_ members: PluginMembers) throws(BackendError) {
        self.init(
            reference: try members.string("reference"),
            path: try members.string("path"),
            format: try members.name("format"),
            virtualSize: try members.count("virtual_size")
        )
    }
}

extension ImageRequest {
    package var json: JSONObject {
        var json: JSONObject = ["reference": .string(reference)]
        json["location"] = location.map { .string($0) }
        if !checksums.isEmpty {
            json["checksums"] = .array(
                checksums.map { ["algorithm": .string($0.algorithm), "value": .string($0.value)] }
            )
        }
        json["format"] = format.map { .string($0) }
        json["size"] = size.map { .int(Int64(clamping: $0)) }
        json["user"] = user.map { .string($0) }
        return json
    }

    package init(_ members: PluginMembers) throws(BackendError) {
        self.init(
            try members.string("reference"),
            location: try members.optional("location"),
            checksums: try members.objects("checksums", of: "checksum") { value in
                guard let algorithm = value["algorithm"]?.stringValue, let digits = value["value"]?.stringValue else {
                    return nil
                }
                return ImageChecksum(algorithm: algorithm, value: digits)
            },
            format: try members.optional("format"),
            size: try members.optionalCount("size"),
            user: try members.optional("user")
        )
    }
}

extension DiskInfo {
    package var json: JSONObject {
        var json: JSONObject = [
            "path": .string(path), "format": .string(format), "virtual_size": .int(Int64(clamping: virtualSize)),
            "actual_size": .int(Int64(clamping: actualSize)),
        ]
        json["backing_file"] = backingFile.map { .string($0) }
        return json
    }

    package init(_ members: PluginMembers) throws(BackendError) {
        self.init(
            path: try members.string("path"),
            format: try members.name("format"),
            virtualSize: try members.count("virtual_size"),
            actualSize: try members.count("actual_size", default: 0),
            backingFile: try members.optional("backing_file")
        )
    }
}

extension DiskRequest {
    package var json: JSONObject {
        var json: JSONObject = ["path": .string(path), "format": .string(format)]
        switch source {
        case .blank: json["source"] = "blank"
        case .overlay(let image):
            json["source"] = "overlay"
            json["image"] = .object(image.json)
        case .copy(let image):
            json["source"] = "copy"
            json["image"] = .object(image.json)
        }
        json["virtual_size"] = virtualSize.map { .int(Int64(clamping: $0)) }
        return json
    }

    package init(_ members: PluginMembers) throws(BackendError) {
        let source: DiskSource
        switch members.text("source") {
        case "blank": source = .blank
        case "overlay": source = .overlay(try ImageInfo(try members.members("image")))
        case "copy": source = .copy(try ImageInfo(try members.members("image")))
        default: throw members.wrong("source", "blank, overlay or copy")
        }
        self.init(
            path: try members.string("path"),
            format: try members.name("format"),
            source: source,
            virtualSize: try members.optionalCount("virtual_size")
        )
    }
}

extension ConfigDriveFile {
    package var json: JSONObject { ["path": .string(path), "base64": .string(Base64.encode(content))] }

    package init?(_ json: JSONValue) {
        guard let path = json["path"]?.stringValue, let content = json["base64"]?.stringValue.flatMap(Base64.decode)
        else { return nil }
        self.init(path: path, content: content)
    }
}

extension VolumeConnection {
    package var json: JSONObject {
        var json: JSONObject = [
            "volume_id": .string(volumeID), "type": .string(type), "data": .object(data.secret),
            "is_boot": .bool(isBootVolume),
        ]
        json["mount_device"] = mountDevice.map { .string($0) }
        return json
    }

    package init(_ members: PluginMembers) throws(BackendError) {
        self.init(
            volumeID: try members.name("volume_id"),
            type: try members.name("type"),
            data: Redacted(try members.object("data")),
            mountDevice: try members.optional("mount_device"),
            isBootVolume: members.flag("is_boot", default: false)
        )
    }
}

extension MigrationProgress {
    package var json: JSONObject {
        [
            "phase": .string(phase.rawValue), "transferred_bytes": .int(Int64(clamping: transferredBytes)),
            "remaining_bytes": .int(Int64(clamping: remainingBytes)),
        ]
    }

    package init(_ members: PluginMembers) throws(BackendError) {
        self.init(
            phase: try members.choice("phase"),
            transferredBytes: try members.count("transferred_bytes", default: 0),
            remainingBytes: try members.count("remaining_bytes", default: 0)
        )
    }
}

extension PluginMembers {
    /// A machine's definition, every part of it sound.
    package func spec(_ key: String = "spec") throws(BackendError) -> MachineSpec {
        let spec = try members(key)
        _ = try spec.uuid()
        let name = try spec.name("name")
        // (plugin protocol, section 7.2)
        guard let first = name.utf8.first, Self.isWord(first),
            name.utf8.allSatisfy({ Self.isWord($0) || ".-_".utf8.contains($0) })
        else { throw spec.wrong("name", "a name of letters, digits, dots, dashes and underscores") }
        _ = try spec.string("directory")
        _ = try spec.objects("disks", of: "disk") { DiskAttachment(record: $0) }
        _ = try spec.objects("interfaces", of: "interface") { NetworkInterface(record: $0) }
        return try MachineSpec(record: spec.json)
    }

    private static func isWord(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
            UInt8(ascii: "a")...UInt8(ascii: "z"):
            true
        default: false
        }
    }

    package func disk(_ key: String = "disk") throws(BackendError) -> DiskAttachment {
        guard let disk = json[key].flatMap({ DiskAttachment(record: $0) }) else { throw wrong(key, "a disk") }
        return disk
    }

    package func interface(_ key: String = "interface") throws(BackendError) -> NetworkInterface {
        guard let interface = json[key].flatMap({ NetworkInterface(record: $0) }) else {
            throw wrong(key, "an interface")
        }
        return interface
    }

    package func bytes(_ key: String = "base64") throws(BackendError) -> [UInt8] {
        guard let bytes = text(key).flatMap(Base64.decode) else { throw wrong(key, "text in base64") }
        return bytes
    }
}
