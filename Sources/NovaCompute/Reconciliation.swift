import NovaObjects
import Support

/// Decides what is to be done about an instance of which database and host may say different things (Nova's compute
/// RPC, sections 6.1 and 11). The rules are those of Nova's own service, but for what a journal makes needless: a
/// request that this host has accepted is never lost, and whoever carries it out says what comes of it.
struct Reconciliation: Sendable, Hashable {
    /// What the host has of the instance.
    enum Presence: Sendable, Hashable {
        case absent
        /// In Nova's numbers, nothing going on.
        case resting(powerState: Int)
        case busy
    }

    enum Action: Sendable, Hashable {
        case nothing
        /// Write the states; whatever else the instance is doing by then comes first.
        case save(vmState: VMState?, powerState: Int?)
        /// Carry out a request as if it had just come.
        case request(Request)
        /// Switch the machine off, and write that it is.
        case powerOff
        /// An evacuation that came to nothing may have left it with nobody: take it back if its disks are there.
        case takeBack

        /// Whether it is more than a save.
        var isLong: Bool {
            switch self {
            case .nothing, .save: false
            case .request, .powerOff, .takeBack: true
            }
        }
    }

    enum Request: Sendable, Hashable {
        case stop, start, unpause, rebootHard, terminate
    }

    private static let reboots: Set<String> = [
        "rebooting", "reboot_pending", "reboot_started", "rebooting_hard", "reboot_pending_hard",
        "reboot_started_hard",
    ]
    private static let builds = Set(
        ["scheduling", "block_device_mapping", "networking", "spawning"] + TaskState.rebuilds.map(\.rawValue)
    )

    private static let (running, paused, shutDown, crashed, suspended) = (1, 3, 4, 6, 7)

    let vmState: VMState?
    let taskState: String?
    let powerState: Int?
    let presence: Presence

    init(_ instance: NovaInstance, _ presence: Presence) {
        vmState = instance.vmState
        taskState = instance.taskState
        powerState = instance.powerState
        self.presence = presence
    }

    /// At the start of the service: nobody but this host can bring an instance out of its task state.
    var atStart: Action {
        if presence == .busy || vmState == .softDeleted { return .nothing }
        if vmState == .deleted || taskState == "deleting" { return .request(.terminate) }
        guard let taskState else { return vmState == .building ? .save(vmState: .error, powerState: nil) : atRest }
        if vmState == .building || Self.builds.contains(taskState) {
            return .save(vmState: .error, powerState: actual)
        }
        guard let actual, vmState != .error else { return .save(vmState: nil, powerState: actual) }
        switch (taskState, actual) {
        case ("powering-off", _): return .request(.stop)
        case ("powering-on", _): return .request(.start)
        case ("unpausing", Self.paused): return .request(.unpause)
        case ("pausing", _), ("unpausing", _), ("suspending", _), ("resuming", _):
            return .save(vmState: Self.state(actual), powerState: actual)
        case _ where Self.reboots.contains(taskState):
            return actual == Self.running ? .save(vmState: .active, powerState: actual) : .request(.rebootHard)
        default: return .save(vmState: nil, powerState: actual)
        }
    }

    /// An instance that nobody does anything with. The database has the say about whether it is to run; that a guest
    /// has switched itself off is for the host to say.
    var atRest: Action {
        guard taskState == nil, let actual else {
            return taskState == nil && vmState == .error && presence == .absent ? .takeBack : .nothing
        }
        let isOff = actual == Self.shutDown || actual == Self.crashed
        switch vmState {
        case .active where isOff, .paused where isOff: return .save(vmState: .stopped, powerState: actual)
        case .stopped where actual == Self.running || actual == Self.paused: return .powerOff
        default: return actual == powerState ? .nothing : .save(vmState: nil, powerState: actual)
        }
    }

    private var actual: Int? {
        guard case .resting(let powerState) = presence else { return nil }
        return powerState
    }

    private static func state(_ powerState: Int) -> VMState? {
        switch powerState {
        case running: .active
        case paused: .paused
        case suspended: .suspended
        case shutDown, crashed: .stopped
        default: nil
        }
    }
}
