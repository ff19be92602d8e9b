import HostBackend
import Processes
import Support

/// What is known of a machine beyond the worker's life: its definition, its QEMU, and what is being done to it.
struct MachineRecord: Sendable, Hashable {
    /// The QEMU process of a machine that is on.
    struct Process: Sendable, Hashable {
        var identity: ProcessIdentity
        /// The host's boot it belongs to: after another one, the same pid and start time are somebody else's.
        var bootID: String
    }

    /// A change of state that takes several steps; the next worker finishes it or takes it back.
    enum Task: Sendable, Hashable {
        /// Memory is being written; `resumes` says whether the guest ran before.
        case saving(resumes: Bool)
        /// Memory is being read back.
        case restoring
        /// It is on its way to another host, which has no right to run it yet; `resumes` as for ``saving(resumes:)``.
        case leaving(resumes: Bool)
    }

    /// Whose machine it is, with live migrations in mind.
    enum Presence: Sendable, Hashable {
        /// This host's.
        case here
        /// Another host's still: a QEMU of ours waits for it, or has it and waits for the word to let it run.
        case arriving(Arrival)
        /// Another host's: what is left of it is kept until that host is known to run it.
        case departed

        var isArriving: Bool { if case .arriving = self { true } else { false } }
    }

    /// A machine that another host sends.
    struct Arrival: Sendable, Hashable {
        /// Names the migration.
        var migration: String
        /// Whether it is to run once it is here; otherwise it was paused and stays so.
        var runs: Bool
        /// What the source was told, and is told again when it asks again.
        var way: ArrivalWay?
    }

    /// What a suspended machine's memory belongs to.
    struct Saved: Sendable, Hashable {
        var disks: [DiskFingerprint]
    }

    var spec: MachineSpec
    var incarnation: UInt64
    var platform: Platform
    var presence = Presence.here
    /// The last state that is known to have been reached.
    var state: MachineState = .off
    var process: Process?
    var task: Task?
    var saved: Saved?
    /// Which slot each interface sits in, by its id (``InterfaceSlots``).
    var slots: [String: Int] = [:]
}

/// What a guest sees of its machine beside devices; it has to stay the same while its memory lives.
struct Platform: Sendable, Hashable {
    var machineType: String
    var cpuModel: String
    var accelerator: String
}

/// Tells whether a disk has been written to by somebody else.
struct DiskFingerprint: Sendable, Hashable {
    var path: String
    var size: UInt64
    /// Nanoseconds since 1970.
    var modified: Int64
}

extension MachineRecord {
    private static let version: Int64 = 1

    var json: JSONObject {
        var json: JSONObject = [
            "version": .int(Self.version),
            "incarnation": .int(Int64(clamping: incarnation)),
            "state": .string(state.rawValue),
            "platform": [
                "machine_type": .string(platform.machineType),
                "cpu_model": .string(platform.cpuModel),
                "accelerator": .string(platform.accelerator),
            ],
            "spec": .object(spec.record),
        ]
        if let process {
            json["process"] = [
                "pid": .int(Int64(process.identity.pid)),
                "start_time": .int(Int64(clamping: process.identity.startTime)),
                "boot_id": .string(process.bootID),
            ]
        }
        switch task {
        case .saving(let resumes): json["task"] = ["name": "saving", "resumes": .bool(resumes)]
        case .restoring: json["task"] = ["name": "restoring"]
        case .leaving(let resumes): json["task"] = ["name": "leaving", "resumes": .bool(resumes)]
        case nil: break
        }
        switch presence {
        case .here: break
        case .arriving(let arrival): json["arrival"] = .object(arrival.json)
        case .departed: json["departed"] = true
        }
        if !slots.isEmpty { json["slots"] = .object(Self.json(slots)) }
        if let saved {
            let disks = saved.disks.map { disk -> JSONValue in
                [
                    "path": .string(disk.path),
                    "size": .int(Int64(clamping: disk.size)),
                    "modified": .int(disk.modified),
                ]
            }
            json["saved"] = ["disks": .array(disks)]
        }
        return json
    }

    init(json: JSONObject) throws(BackendError) {
        guard json["version"]?.intValue == Self.version, let spec = json["spec"]?.objectValue,
            let state = json["state"]?.stringValue.flatMap(MachineState.init(rawValue:)),
            let platform = json["platform"]?.objectValue
        else { throw BackendError(.internal, "not a machine's record of this version") }
        func text(_ name: String) -> String { platform[name]?.stringValue ?? "" }
        self.init(
            spec: try MachineSpec(record: spec),
            incarnation: json.count("incarnation"),
            platform: Platform(
                machineType: text("machine_type"),
                cpuModel: text("cpu_model"),
                accelerator: text("accelerator")
            ),
            presence: try Presence(json),
            state: state,
            process: json["process"].flatMap(Process.init(json:)),
            task: json["task"].flatMap(Task.init(json:)),
            saved: json["saved"].map { saved in
                Saved(disks: saved["disks"]?.arrayValue?.compactMap(DiskFingerprint.init(json:)) ?? [])
            },
            slots: Self.slots(json["slots"])
        )
    }
}

extension MachineRecord {
    static func json(_ slots: [String: Int]) -> JSONObject {
        JSONObject(slots.sorted { $0.key < $1.key }.map { ($0.key, .int(Int64($0.value))) })
    }

    static func slots(_ json: JSONValue?) -> [String: Int] {
        var slots: [String: Int] = [:]
        for (id, slot) in json?.objectValue ?? [:] { slots[id] = slot.intValue.flatMap(Int.init(exactly:)) }
        return slots
    }
}

extension MachineRecord.Process {
    fileprivate init?(json: JSONValue) {
        guard let object = json.objectValue, let pid = object["pid"]?.intValue.flatMap(Int32.init(exactly:)),
            let boot = object["boot_id"]?.stringValue
        else { return nil }
        self.init(identity: ProcessIdentity(pid: pid, startTime: object.count("start_time")), bootID: boot)
    }
}

extension MachineRecord.Task {
    fileprivate init?(json: JSONValue) {
        switch json["name"]?.stringValue {
        case "saving": self = .saving(resumes: json["resumes"]?.boolValue ?? false)
        case "restoring": self = .restoring
        case "leaving": self = .leaving(resumes: json["resumes"]?.boolValue ?? false)
        default: return nil
        }
    }
}

extension DiskFingerprint {
    fileprivate init?(json: JSONValue) {
        guard let object = json.objectValue, let path = object["path"]?.stringValue,
            let modified = object["modified"]?.intValue
        else { return nil }
        self.init(path: path, size: object.count("size"), modified: modified)
    }
}

extension MachineRecord.Presence {
    fileprivate init(_ record: JSONObject) throws(BackendError) {
        if record["departed"]?.boolValue == true {
            self = .departed
        } else if let arrival = record["arrival"] {
            self = .arriving(try MachineRecord.Arrival(json: arrival))
        } else {
            self = .here
        }
    }
}

extension MachineRecord.Arrival {
    fileprivate var json: JSONObject {
        var json: JSONObject = ["migration": .string(migration), "runs": .bool(runs)]
        if let way { json["way"] = .object(way.json) }
        return json
    }

    fileprivate init(json: JSONValue) throws(BackendError) {
        guard let migration = json["migration"]?.stringValue, let runs = json["runs"]?.boolValue else {
            throw BackendError(.internal, "the record of an arriving machine names no migration")
        }
        self.init(
            migration: migration,
            runs: runs,
            way: try json["way"]?.objectValue.map { object throws(BackendError) in try ArrivalWay(json: object) }
        )
    }
}
