package import HostBackend
import JSONCodec
import Support

/// What goes on an instance's config drive: OpenStack's metadata layout, read by cloud-init.
package struct ConfigDriveContent {
    var uuid: InstanceUUID
    var name: String
    var metadata: [String: String]
    var interfaces: [NetworkInterface]
    /// Path on the guest and content of each injected file.
    var injectedFiles: [(path: String, content: [UInt8])]
    /// Given only if the operator lets passwords be injected.
    var adminPassword: String?

    package init(
        uuid: InstanceUUID,
        name: String,
        metadata: [String: String],
        interfaces: [NetworkInterface],
        injectedFiles: [(path: String, content: [UInt8])],
        adminPassword: String?
    ) {
        self.uuid = uuid
        self.name = name
        self.metadata = metadata
        self.interfaces = interfaces
        self.injectedFiles = injectedFiles
        self.adminPassword = adminPassword
    }

    /// The drive's files.
    package func files() throws -> [ConfigDriveFile] {
        var files: [ConfigDriveFile] = []
        var listed: [JSONValue] = []
        for (number, injected) in injectedFiles.enumerated() {
            let digits = String(number)
            let content = "content/" + String(repeating: "0", count: max(0, 4 - digits.utf8.count)) + digits
            files.append(ConfigDriveFile(path: "openstack/\(content)", content: injected.content))
            listed.append(["path": .string(injected.path), "content_path": .string("/\(content)")])
        }
        let meta = try JSONWriter.bytes(of: metaData(files: listed))
        let network = try JSONWriter.bytes(of: networkData)
        for version in ["latest", "2018-08-27"] {
            files.append(ConfigDriveFile(path: "openstack/\(version)/meta_data.json", content: meta))
            files.append(ConfigDriveFile(path: "openstack/\(version)/network_data.json", content: network))
        }
        return files
    }

    private func metaData(files: [JSONValue]) -> JSONValue {
        var object: JSONObject = [
            "uuid": .string(uuid.text),
            "name": .string(name),
            "hostname": .string(hostName),
            "launch_index": 0,
            "availability_zone": "nova",
        ]
        if !metadata.isEmpty {
            object["meta"] = .object(
                JSONObject(metadata.sorted { $0.key < $1.key }.map { ($0.key, JSONValue.string($0.value)) })
            )
        }
        if !files.isEmpty { object["files"] = .array(files) }
        if let adminPassword { object["admin_pass"] = .string(adminPassword) }
        return .object(object)
    }

    private var networkData: JSONValue {
        let links = interfaces.map { interface -> JSONValue in
            [
                "id": .string("tap" + interface.id.prefix(11)),
                "vif_id": .string(interface.id),
                "type": .string(interface.type),
                "ethernet_mac_address": .string(interface.macAddress),
                "mtu": nil,
            ]
        }
        return ["links": .array(links), "networks": [], "services": []]
    }

    /// The name as a host name: what is not allowed there becomes a dash.
    private var hostName: String {
        let mapped = name.lowercased().utf8.map { byte -> UInt8 in
            switch byte {
            case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "."):
                byte
            default: UInt8(ascii: "-")
            }
        }
        let text = String(decoding: mapped.prefix(63), as: UTF8.self)
        return text.isEmpty ? "localhost" : text
    }
}
