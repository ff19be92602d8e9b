import HostBackend
import Support

/// What the destination of a live migration says of itself.
struct DestinationFacts: Sendable, Hashable {
    static let key = "qemu_destination"

    /// Names the migration.
    var migration: String
    var host: String
    var copiesDisks: Bool
    /// major × 1000 + minor of its QEMU.
    var version: Int
    var accelerator: String
    var cpuVendor: String
    /// The processor's, which matter when guests see them.
    var cpuFeatures: [String]
    var network: String
    var diskBus: String
    /// Whether what goes over the network is encrypted; both must want the same.
    var usesTLS: Bool

    var json: JSONObject {
        [
            "migration": .string(migration), "host": .string(host), "copies_disks": .bool(copiesDisks),
            "version": .int(Int64(version)), "accelerator": .string(accelerator), "cpu_vendor": .string(cpuVendor),
            "cpu_features": .array(cpuFeatures.map(JSONValue.string)), "network": .string(network),
            "disk_bus": .string(diskBus), "tls": .bool(usesTLS),
        ]
    }

    /// Throws `invalidArgument` for the ticket of a host of another kind.
    init(_ ticket: MigrationTicket) throws(BackendError) {
        guard let json = ticket[Self.key]?.objectValue, let migration = json["migration"]?.stringValue,
            let host = json["host"]?.stringValue
        else { throw BackendError(.invalidArgument, "the destination is no QEMU host of this version") }
        func text(_ name: String) -> String { json[name]?.stringValue ?? "" }
        self.init(
            migration: migration,
            host: host,
            copiesDisks: json["copies_disks"]?.boolValue ?? false,
            version: Int(clamping: json.count("version")),
            accelerator: text("accelerator"),
            cpuVendor: text("cpu_vendor"),
            cpuFeatures: json["cpu_features"]?.arrayValue?.compactMap(\.stringValue) ?? [],
            network: text("network"),
            diskBus: text("disk_bus"),
            usesTLS: json["tls"]?.boolValue ?? false
        )
    }

    init(
        migration: String,
        host: String,
        copiesDisks: Bool,
        version: Int,
        accelerator: String,
        cpuVendor: String,
        cpuFeatures: [String],
        network: String,
        diskBus: String,
        usesTLS: Bool
    ) {
        self.migration = migration
        self.host = host
        self.copiesDisks = copiesDisks
        self.version = version
        self.accelerator = accelerator
        self.cpuVendor = cpuVendor
        self.cpuFeatures = cpuFeatures
        self.network = network
        self.diskBus = diskBus
        self.usesTLS = usesTLS
    }
}

/// What the source says of the machine, so that the destination makes the same.
struct TravellingMachine: Sendable, Hashable {
    static let key = "qemu_machine"

    /// A disk that is copied, by the name of its node.
    struct Disk: Sendable, Hashable {
        var node: String
        var format: String
        /// Bytes the guest sees.
        var size: UInt64
        /// The image it is a layer over.
        var base: BaseImage?
    }

    var platform: Platform
    var slots: [String: Int]
    /// Whether it runs, or is paused.
    var runs: Bool
    /// Connections that carry memory; 1 = the one that carries everything.
    var channels: Int
    /// Those to be copied; none when both hosts see them.
    var disks: [Disk]

    var json: JSONObject {
        let disks = self.disks.map { disk -> JSONValue in
            var json: JSONObject = [
                "node": .string(disk.node), "format": .string(disk.format), "size": .int(Int64(clamping: disk.size)),
            ]
            if let base = disk.base { json["base"] = .object(base.json) }
            return .object(json)
        }
        return [
            "machine_type": .string(platform.machineType), "cpu_model": .string(platform.cpuModel),
            "accelerator": .string(platform.accelerator), "slots": .object(MachineRecord.json(slots)),
            "runs": .bool(runs), "channels": .int(Int64(channels)), "disks": .array(disks),
        ]
    }

    init(platform: Platform, slots: [String: Int], runs: Bool, channels: Int, disks: [Disk]) {
        self.platform = platform
        self.slots = slots
        self.runs = runs
        self.channels = channels
        self.disks = disks
    }

    init(_ ticket: MigrationTicket) throws(BackendError) {
        guard let json = ticket[Self.key]?.objectValue, let machineType = json["machine_type"]?.stringValue,
            let cpuModel = json["cpu_model"]?.stringValue, let accelerator = json["accelerator"]?.stringValue,
            let runs = json["runs"]?.boolValue
        else { throw BackendError(.invalidArgument, "the source says too little of its machine") }
        // They become words of a command line, where a comma begins an option.
        for word in [machineType, cpuModel, accelerator] where word.isEmpty || word.contains(",") && word != cpuModel {
            throw BackendError(.invalidArgument, "\(word) is no kind of machine")
        }
        let disks = try (json["disks"]?.arrayValue ?? []).map { disk throws(BackendError) in
            guard let node = disk["node"]?.stringValue, let format = disk["format"]?.stringValue,
                let size = disk["size"]?.intValue.flatMap({ UInt64(exactly: $0) })
            else { throw BackendError(.invalidArgument, "the source says too little of a disk") }
            return Disk(node: node, format: format, size: size, base: disk["base"].flatMap(BaseImage.init(json:)))
        }
        self.init(
            platform: Platform(machineType: machineType, cpuModel: cpuModel, accelerator: accelerator),
            slots: MachineRecord.slots(json["slots"]),
            runs: runs,
            channels: Int(clamping: max(1, json.count("channels"))),
            disks: disks
        )
    }
}

/// An image that a disk is a layer over, told so that another host can recognise its own copy of the file.
struct BaseImage: Sendable, Hashable {
    var path: String
    var format: String
    var size: UInt64
    /// Bytes of the file.
    var fileSize: UInt64
    var inode: UInt64
    /// Nanoseconds since 1970.
    var modified: Int64
    /// Of a fetched image, which never changes.
    var sha256: String?

    var name: String { path.split(separator: "/").last.map(String.init) ?? path }

    var json: JSONObject {
        var json: JSONObject = [
            "path": .string(path), "format": .string(format), "size": .int(Int64(clamping: size)),
            "file_size": .int(Int64(clamping: fileSize)),
            // As text: it may need all 64 bits.
            "inode": .string(String(inode)), "modified": .int(modified),
        ]
        if let sha256 { json["sha256"] = .string(sha256) }
        return json
    }
}

extension BaseImage {
    init?(json: JSONValue) {
        guard let object = json.objectValue, let path = object["path"]?.stringValue,
            let format = object["format"]?.stringValue, let modified = object["modified"]?.intValue,
            let inode = object["inode"]?.stringValue.flatMap({ UInt64($0) })
        else { return nil }
        self.init(
            path: path,
            format: format,
            size: object.count("size"),
            fileSize: object.count("file_size"),
            inode: inode,
            modified: modified,
            sha256: object["sha256"]?.stringValue
        )
    }
}

/// Where the machine is expected.
struct ArrivalWay: Sendable, Hashable {
    static let key = "qemu_way"

    var address: String
    var port: Int
    /// Where the disks are expected; `nil` when there are none to copy.
    var diskPort: Int?
    /// The name in the destination's certificate; `nil` = its address.
    var tlsName: String?
    /// Disks of which only the layer is wanted, by their nodes' names: the image below is there.
    var layers: [String]

    var json: JSONObject {
        var json: JSONObject = [
            "address": .string(address), "port": .int(Int64(port)), "layers": .array(layers.map(JSONValue.string)),
        ]
        if let diskPort { json["disk_port"] = .int(Int64(diskPort)) }
        if let tlsName { json["tls_name"] = .string(tlsName) }
        return json
    }

    init(address: String, port: Int, diskPort: Int?, tlsName: String?, layers: [String]) {
        self.address = address
        self.port = port
        self.diskPort = diskPort
        self.tlsName = tlsName
        self.layers = layers
    }

    init(json: JSONObject) throws(BackendError) {
        func port(_ name: String) -> Int? {
            json[name]?.intValue.flatMap { (1...65535).contains($0) ? Int($0) : nil }
        }
        guard let address = json["address"]?.stringValue, let memory = port("port") else {
            throw BackendError(.unavailable, "the destination does not say where it expects the machine")
        }
        self.init(
            address: address,
            port: memory,
            diskPort: port("disk_port"),
            tlsName: json["tls_name"]?.stringValue,
            layers: json["layers"]?.arrayValue?.compactMap(\.stringValue) ?? []
        )
    }

    init(_ ticket: MigrationTicket) throws(BackendError) { try self.init(json: ticket[Self.key]?.objectValue ?? [:]) }
}
