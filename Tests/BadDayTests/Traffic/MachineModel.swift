import DaemonBench
import Support

/// What a machine may be like, as far as requests and their answers tell.
struct MachineModel: Sendable {
    /// The state of an instance that no host knows.
    static let absent = "absent"

    enum Ending {
        case succeeded
        case failed
        /// No answer came: done or not, now or later.
        case unknown
    }

    /// Where it is.
    var host: String
    /// What it may be.
    private(set) var possible: Set<String> = [absent]
    /// How often it must and can have booted since it was last spawned.
    private(set) var leastBoots = 0
    private(set) var mostBoots = 0
    private(set) var interfaces: Set<String> = []
    private(set) var volumes: Set<String> = []
    /// By name, whether it must be there.
    private(set) var images: [String: Bool] = [:]
    /// Whether a request got no answer, after which nothing more can be told.
    private(set) var isLost = false

    init(host: String) { self.host = host }

    /// Its only possible state.
    var state: String? { possible.count == 1 ? possible.first : nil }

    /// An operation was sent, `times` over, and has ended.
    ///
    /// - Parameter interrupted: the worker was killed meanwhile.
    mutating func ended(_ operation: MachineOperation, _ ending: Ending, times: Int = 1, interrupted: Bool) {
        switch ending {
        case .succeeded: succeeded(operation, times, interrupted)
        case .failed: if boots(operation) != 0 { mostBoots += times }
        case .unknown: isLost = true
        }
        if case .snapshot(let image) = operation {
            switch ending {
            case .succeeded: images[image] = true
            case .failed: images[image] = false
            case .unknown: images[image] = nil
            }
        }
    }

    private mutating func succeeded(_ operation: MachineOperation, _ times: Int, _ interrupted: Bool) {
        let boots = boots(operation)
        switch operation {
        case .spawn:
            (leastBoots, mostBoots) = (1, 1)
            interfaces = []
            volumes = []
        case .softReboot, .hardReboot:
            // Whether one that was cut off had happened cannot be told from a machine that runs.
            leastBoots += interrupted ? 0 : times
            mostBoots += times
        case .attachInterface(let id): interfaces.insert(id)
        case .detachInterface(let id): interfaces.remove(id)
        case .attachVolume(let id): volumes.insert(id)
        case .detachVolume(let id): volumes.remove(id)
        case .migrate(let destination): host = destination
        default:
            leastBoots += boots ?? 0
            mostBoots += boots ?? 1
        }
        if let target = operation.target { possible = [target] }
    }

    /// How many boots it causes, `nil` when that cannot be told.
    private func boots(_ operation: MachineOperation) -> Int? {
        switch operation {
        case .spawn, .softReboot, .hardReboot: 1
        case .powerOn, .resume: state.map { $0 == "off" ? 1 : 0 }
        default: 0
        }
    }
}

/// The operations that the tests send.
enum MachineOperation: Sendable, Hashable {
    case spawn, destroy, powerOn, powerOff, pause, unpause, suspend, resume, softReboot, hardReboot
    case attachInterface(String), detachInterface(String)
    case attachVolume(String), detachVolume(String)
    case snapshot(String)
    case migrate(String)

    /// The state after it succeeded; `nil` for those that leave it.
    var target: String? {
        switch self {
        case .spawn, .powerOn, .unpause, .resume, .softReboot, .hardReboot: "running"
        case .powerOff: "off"
        case .pause: "paused"
        case .suspend: "suspended"
        case .destroy: MachineModel.absent
        default: nil
        }
    }

    /// Whether sending it twice comes to the same as sending it once, but for boots.
    var isRepeatable: Bool {
        switch self {
        case .spawn, .snapshot, .migrate: false
        default: true
        }
    }

    var method: String {
        switch self {
        case .spawn: "spawn"
        case .destroy: "destroy"
        case .powerOn: "power_on"
        case .powerOff: "power_off"
        case .pause: "pause"
        case .unpause: "unpause"
        case .suspend: "suspend"
        case .resume: "resume"
        case .softReboot, .hardReboot: "reboot"
        case .attachInterface: "attach_interface"
        case .detachInterface: "detach_interface"
        case .attachVolume: "attach_volume"
        case .detachVolume: "detach_volume"
        case .snapshot: "snapshot"
        case .migrate: "live_migration"
        }
    }

    /// - Parameter volumes: the directory of volumes' files, named by their ids.
    func arguments(_ instance: TestInstance, volumes: String) -> JSONObject {
        var arguments = instance.reference
        switch self {
        case .spawn: return ["instance": instance.description]
        case .powerOff: arguments["timeout"] = 0
        case .softReboot: arguments["reboot_type"] = "SOFT"
        case .hardReboot: arguments["reboot_type"] = "HARD"
        case .attachInterface(let id), .detachInterface(let id):
            arguments["vif"] = ["id": .string(id), "address": .string(Self.address(id)), "type": "bridge"]
        case .attachVolume(let id), .detachVolume(let id):
            arguments["connection_info"] = [
                "driver_volume_type": "file", "serial": .string(id),
                "data": ["device_path": .string("\(volumes)/\(id)")],
            ]
        case .snapshot(let image): arguments["image_id"] = .string(image)
        case .migrate(let destination): arguments["dest"] = .string(destination)
        default: break
        }
        return arguments
    }

    /// A MAC address made from the id's last digits.
    private static func address(_ id: String) -> String {
        let digits = Array(("00000000" + id.filter(\.isHexDigit)).suffix(8).lowercased())
        return "52:54:" + stride(from: 0, to: 8, by: 2).map { String(digits[$0...$0 + 1]) }.joined(separator: ":")
    }
}
