import HostBackend
import Support

/// What the two simulated hosts of a live migration tell each other. Plain JSON, and complete: nothing in it needs the
/// two to be in one process.
struct SimulatedTicket {
    /// A disk of the machine as the destination has it.
    struct Disk: Hashable {
        var role: String
        var address: DeviceAddress
        var path: String
        /// Which file it is there now, `nil` when there is none yet.
        var device: UInt64?
        var inode: UInt64?
    }

    /// How a source in another process reaches the destination.
    struct Way: Sendable {
        var address: String
        var port: Int
        /// Shown by the source; valid once.
        var key: Redacted<String>
        /// What the destination's certificate is for; `nil` without TLS.
        var tlsName: String?
    }

    /// The member with which the source says which process it is of.
    static let sourceWorldKey = "source_world"
    /// The member with which the source says what its certificate is for.
    static let sourceNameKey = "source_tls_name"
    private static let kind = "simulated"
    private static let version: Int64 = 1

    /// Ties the two ends together.
    var migration: String
    var world: String
    var destination: String
    var copyStorage: Bool
    var disks: [Disk]
    /// Whether the destination wants TLS from other processes.
    var usesTLS = false
    var way: Way?
    /// Whether both hosts see one instance directory; found by whoever drives the hosts.
    private(set) var sharesDirectory = false

    init(migration: String, world: String, destination: String, copyStorage: Bool, disks: [Disk]) {
        self.migration = migration
        self.world = world
        self.destination = destination
        self.copyStorage = copyStorage
        self.disks = disks
    }

    init(_ ticket: MigrationTicket) throws(BackendError) {
        guard ticket["kind"]?.stringValue == Self.kind, ticket["version"]?.intValue == Self.version,
            let migration = ticket["migration"]?.stringValue, let world = ticket["world"]?.stringValue,
            let destination = ticket["destination"]?.stringValue,
            let copyStorage = ticket["copy_storage"]?.boolValue, let disks = ticket["disks"]?.arrayValue
        else {
            throw BackendError(.invalidArgument, "the other host is no simulated one of this version")
        }
        self.init(
            migration: migration,
            world: world,
            destination: destination,
            copyStorage: copyStorage,
            disks: disks.compactMap(Disk.init(record:))
        )
        sharesDirectory = ticket["shares_directory"]?.boolValue ?? false
        usesTLS = ticket["tls"]?.boolValue ?? false
        if let address = ticket["address"]?.stringValue, let port = ticket["port"]?.intValue,
            let key = ticket["key"]?.stringValue, (1...65535).contains(port)
        {
            way = Way(
                address: address,
                port: Int(port),
                key: Redacted(key),
                tlsName: ticket["tls_name"]?.stringValue
            )
        }
    }

    /// The ticket with the members of `earlier` that are not ours.
    func merged(into earlier: MigrationTicket = [:]) -> MigrationTicket {
        var ticket = earlier
        ticket["kind"] = .string(Self.kind)
        ticket["version"] = .int(Self.version)
        ticket["migration"] = .string(migration)
        ticket["world"] = .string(world)
        ticket["destination"] = .string(destination)
        ticket["copy_storage"] = .bool(copyStorage)
        ticket["tls"] = .bool(usesTLS)
        ticket["disks"] = .array(disks.map(\.record))
        if let way {
            ticket["address"] = .string(way.address)
            ticket["port"] = .int(Int64(way.port))
            ticket["key"] = .string(way.key.secret)
            if let name = way.tlsName { ticket["tls_name"] = .string(name) }
        }
        return ticket
    }
}

extension SimulatedTicket.Disk {
    fileprivate var record: JSONValue {
        var record: JSONObject = [
            "role": .string(role),
            "bus": .string(address.bus.rawValue),
            "controller": .int(Int64(address.controller)),
            "unit": .int(Int64(address.unit)),
            "path": .string(path),
        ]
        // As text: inode numbers may need all 64 bits.
        if let device, let inode {
            record["device"] = .string(String(device))
            record["inode"] = .string(String(inode))
        }
        return .object(record)
    }

    fileprivate init?(record: JSONValue) {
        guard let role = record["role"]?.stringValue, let path = record["path"]?.stringValue,
            let bus = record["bus"]?.stringValue.flatMap(DeviceAddress.Bus.init(rawValue:)),
            let controller = record["controller"]?.intValue, let unit = record["unit"]?.intValue
        else { return nil }
        self.init(
            role: role,
            address: DeviceAddress(bus: bus, controller: Int(controller), unit: Int(unit)),
            path: path,
            device: record["device"]?.stringValue.flatMap { UInt64($0) },
            inode: record["inode"]?.stringValue.flatMap { UInt64($0) }
        )
    }
}
