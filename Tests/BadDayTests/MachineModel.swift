import DaemonBench
import Support

/// What a machine may be like, as far as requests and their answers tell.
struct MachineModel: Sendable {
    /// The operations that the test sends.
    enum Operation: String, Sendable, CaseIterable {
        case spawn, destroy
        case powerOn = "power_on"
        case powerOff = "power_off"
        case pause, unpause, reboot

        /// The state after it succeeded.
        var target: String {
            switch self {
            case .spawn, .powerOn, .unpause, .reboot: "running"
            case .powerOff: "off"
            case .pause: "paused"
            case .destroy: MachineModel.absent
            }
        }

        func arguments(_ instance: TestInstance) -> JSONObject {
            switch self {
            case .spawn: return ["instance": instance.description]
            case .reboot:
                var arguments = instance.reference
                arguments["reboot_type"] = "HARD"
                return arguments
            case .powerOff:
                var arguments = instance.reference
                arguments["timeout"] = 0
                return arguments
            default: return instance.reference
            }
        }
    }

    /// The state of an instance that the host does not know.
    static let absent = "absent"

    /// What it may be.
    private(set) var possible: Set<String> = [absent]
    /// The most boots that its requests could have caused since it was last spawned.
    private(set) var boots = 0

    /// A request was sent whose end is not known yet.
    mutating func sent(_ operation: Operation) {
        switch operation {
        case .spawn: boots = possible == [Self.absent] ? 1 : boots + 1
        case .powerOn, .reboot: boots += 1
        default: break
        }
    }

    /// Its caller has the result.
    mutating func succeeded(_ operation: Operation) { possible = [operation.target] }

    /// Its caller was told of a failure: nothing is changed, or the machine is marked as in error.
    mutating func failed(_ operation: Operation) { possible.insert("error") }

    /// A cast: done or refused.
    mutating func unanswered(_ operation: Operation) { possible.formUnion([operation.target, "error"]) }
}
