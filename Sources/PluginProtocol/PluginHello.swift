package import HostBackend
package import Support

/// Name and numbers of the protocol (plugin protocol, sections 3 and 12).
package enum PluginVersion {
    package static let protocolName = "vmops-plugin"
    /// What this program speaks, best first.
    package static let spoken = [1]
    /// The exit status of a plugin that finds no common version.
    package static let incompatibleStatus: Int32 = 76
    /// The cookie in a child's environment.
    package static let cookie = "VMOPS_PLUGIN"
}

/// The worker's part of the handshake (plugin protocol, section 3).
package struct WorkerHello: Sendable, Hashable {
    package var versions = PluginVersion.spoken
    package var workerName: String
    package var workerVersion: String
    /// The host's name on the message queue.
    package var host: String
    /// Tells one connection from the next.
    package var nonce: String
    package var instancesDirectory: String
    package var stateDirectory: String
    /// The plugin's own options.
    package var options: [String: String]
    package var maximumFrame = PluginFrame.defaultMaximum

    package init(
        workerName: String = "vmopsd",
        workerVersion: String,
        host: String,
        nonce: String = UniqueID.make(),
        instancesDirectory: String,
        stateDirectory: String,
        options: [String: String] = [:]
    ) {
        self.workerName = workerName
        self.workerVersion = workerVersion
        self.host = host
        self.nonce = nonce
        self.instancesDirectory = instancesDirectory
        self.stateDirectory = stateDirectory
        self.options = options
    }

    package init(_ members: PluginMembers) throws(BackendError) {
        versions = try members.objects("versions", of: "integer") { $0.intValue.map { Int($0) } }
        let worker = members.json["worker"]
        workerName = worker?["name"]?.stringValue ?? ""
        workerVersion = worker?["version"]?.stringValue ?? ""
        host = try members.string("host")
        nonce = try members.string("nonce")
        instancesDirectory = members.text("instances_directory") ?? ""
        stateDirectory = members.text("state_directory") ?? ""
        options = members.texts("options")
        maximumFrame = try Self.frame(members)
    }

    package var json: JSONObject {
        [
            "kind": "hello", "protocol": .string(PluginVersion.protocolName),
            "versions": .array(versions.map { .int(Int64($0)) }),
            "worker": ["name": .string(workerName), "version": .string(workerVersion)],
            "host": .string(host), "nonce": .string(nonce),
            "instances_directory": .string(instancesDirectory), "state_directory": .string(stateDirectory),
            "options": .object(JSONObject(options.sorted { $0.key < $1.key }.map { ($0.key, .string($0.value)) })),
            "limits": ["max_frame": .int(Int64(maximumFrame))],
        ]
    }

    static func frame(_ members: PluginMembers) throws(BackendError) -> Int {
        let limits = try members.members("limits")
        let frame = try limits.integer("max_frame", default: PluginFrame.defaultMaximum)
        guard frame >= PluginFrame.smallestMaximum, frame <= 1 << 26 else {
            throw BackendError(members.code, "\(members.what): max_frame cannot be \(frame)")
        }
        return frame
    }
}

/// The plugin's part of the handshake (plugin protocol, section 3).
package struct PluginHello: Sendable, Hashable {
    package var versions: [Int]
    /// The one chosen; `nil` = there is none in common.
    package var version: Int?
    package var nonce: String
    package var name: String
    package var pluginVersion: String
    /// Stable identity of the hypervisor host.
    package var hostID: String
    package var hostName: String
    package var hypervisorType: String
    package var hypervisorVersion: Int
    package var capabilities: HostCapabilities
    package var maximumFrame: Int
    /// Requests at once.
    package var maximumParallel: Int
    package var consoleBuffer: Int
    /// The plugin's files are on another machine.
    package var hasRemoteFiles: Bool

    package init(
        versions: [Int] = PluginVersion.spoken,
        version: Int?,
        nonce: String,
        name: String,
        pluginVersion: String,
        hostID: String,
        hostName: String,
        hypervisorType: String,
        hypervisorVersion: Int,
        capabilities: HostCapabilities,
        maximumFrame: Int = PluginFrame.defaultMaximum,
        maximumParallel: Int = 8,
        consoleBuffer: Int = 262_144,
        hasRemoteFiles: Bool = false
    ) {
        self.versions = versions
        self.version = version
        self.nonce = nonce
        self.name = name
        self.pluginVersion = pluginVersion
        self.hostID = hostID
        self.hostName = hostName
        self.hypervisorType = hypervisorType
        self.hypervisorVersion = hypervisorVersion
        self.capabilities = capabilities
        self.maximumFrame = maximumFrame
        self.maximumParallel = maximumParallel
        self.consoleBuffer = consoleBuffer
        self.hasRemoteFiles = hasRemoteFiles
    }

    package init(_ members: PluginMembers) throws(BackendError) {
        versions = try members.objects("versions", of: "integer") { $0.intValue.map { Int($0) } }
        version = members.json["version"]?.intValue.map { Int($0) }
        nonce = members.text("nonce") ?? ""
        let plugin = try members.members("plugin")
        name = try plugin.name("name", default: "plugin")
        pluginVersion = try plugin.name("version", default: "")
        let host = try members.members("host")
        // A plugin without a common version has no more to say.
        hostID = version == nil ? "" : try host.name("id")
        hostName = try host.name("name", default: "")
        hypervisorType = try host.name("hypervisor_type", default: "")
        hypervisorVersion = try host.integer("hypervisor_version", default: 0)
        capabilities = HostCapabilities(json: try members.members("capabilities").json)
        let limits = try members.members("limits")
        maximumFrame = try WorkerHello.frame(members)
        maximumParallel = min(max(try limits.integer("max_parallel", default: 8), 1), 1024)
        consoleBuffer = try limits.integer("console_buffer", default: 262_144)
        hasRemoteFiles = members.flag("remote_files", default: false)
    }

    package var json: JSONObject {
        var json: JSONObject = [
            "kind": "hello", "protocol": .string(PluginVersion.protocolName),
            "versions": .array(versions.map { .int(Int64($0)) }),
        ]
        if let version { json["version"] = .int(Int64(version)) }
        json["nonce"] = .string(nonce)
        json["plugin"] = ["name": .string(name), "version": .string(pluginVersion)]
        json["host"] = [
            "id": .string(hostID), "name": .string(hostName), "hypervisor_type": .string(hypervisorType),
            "hypervisor_version": .int(Int64(hypervisorVersion)),
        ]
        json["capabilities"] = .object(capabilities.json)
        json["limits"] = [
            "max_frame": .int(Int64(maximumFrame)), "max_parallel": .int(Int64(maximumParallel)),
            "console_buffer": .int(Int64(consoleBuffer)),
        ]
        json["remote_files"] = .bool(hasRemoteFiles)
        return json
    }
}

extension HostCapabilities {
    package init(json: JSONObject) {
        func names(_ key: String) -> [String] {
            (json[key]?.arrayValue ?? []).prefix(256).compactMap { value in
                value.stringValue.flatMap { $0.utf8.count <= PluginMembers.nameBytes ? $0 : nil }
            }
        }
        let formats = names("disk_formats")
        self.init(
            flags: Set(names("flags").map { Capability(rawValue: $0) }),
            diskFormats: formats.isEmpty ? ["raw"] : formats,
            volumeTypes: Set(names("volume_types")),
            networkTypes: Set(names("network_types"))
        )
    }

    package var json: JSONObject {
        [
            "flags": .array(flags.sorted().map { .string($0.rawValue) }),
            "disk_formats": .array(diskFormats.map { .string($0) }),
            "volume_types": .array(volumeTypes.sorted().map { .string($0) }),
            "network_types": .array(networkTypes.sorted().map { .string($0) }),
        ]
    }
}
