package import HostBackend

/// The operations whose outcome depends on the instance's state.
package enum StateOperation: String, Sendable, CaseIterable {
    case spawn
    case powerOn
    case powerOffSoft
    case powerOffHard
    case rebootSoft
    case rebootHard
    case pause
    case unpause
    case suspend
    case resume
    case liveMigration
    case snapshot
    case destroy
}

/// What an operation does in a state: the table of VM operations, section 5.2.
package enum Transition: Sendable, Hashable {
    /// The state is already the wanted one: success without any action.
    case unchanged
    /// Ask the host for this state.
    case set(TargetState)
    /// Ask the guest to stop, and fall back to turning it off.
    case softOff
    /// Ask the guest to stop and start the machine again; fall back to a reset.
    case softReboot
    case reset
    /// Turn the machine off and start it again.
    case powerCycle
    /// The operation's own procedure.
    case proceed
    case invalidState
    case notFound
    case exists
}

package enum TransitionTable {
    /// - Parameter state: the instance's stable state; `nil` = absent.
    package static func transition(_ operation: StateOperation, in state: MachineState?) -> Transition {
        guard let state else {
            switch operation {
            case .spawn: return .proceed
            case .destroy: return .unchanged
            default: return .notFound
            }
        }
        return switch operation {
        case .spawn: .exists
        case .destroy,
            .snapshot where state != .error:
            .proceed
        case .snapshot: .invalidState
        case .powerOn: state == .running ? .unchanged : .set(.running)
        case .powerOffSoft: softOff(state)
        case .powerOffHard: state == .off ? .unchanged : .set(.off)
        case .rebootSoft, .rebootHard: reboot(soft: operation == .rebootSoft, state)
        case .pause: pausing(state, wanted: .paused, from: .running)
        case .unpause: pausing(state, wanted: .running, from: .paused)
        case .suspend: suspend(state)
        case .resume: resume(state)
        case .liveMigration: [.running, .paused, .transitional].contains(state) ? .proceed : .invalidState
        }
    }

    /// A paused, saved or broken guest cannot answer, so it is turned off.
    private static func softOff(_ state: MachineState) -> Transition {
        switch state {
        case .off: .unchanged
        case .running, .transitional: .softOff
        case .paused, .saved, .error: .set(.off)
        }
    }

    /// A reboot leaves the instance running, whatever state it was in.
    private static func reboot(soft: Bool, _ state: MachineState) -> Transition {
        switch state {
        case .off: .set(.running)
        case .running, .transitional: soft ? .softReboot : .reset
        case .paused, .saved, .error: .powerCycle
        }
    }

    private static func pausing(_ state: MachineState, wanted: TargetState, from: MachineState) -> Transition {
        if state == wanted.state { return .unchanged }
        return state == from || state == .transitional ? .set(wanted) : .invalidState
    }

    private static func suspend(_ state: MachineState) -> Transition {
        switch state {
        case .running, .paused, .transitional: .set(.saved)
        case .saved: .unchanged
        case .off, .error: .invalidState
        }
    }

    private static func resume(_ state: MachineState) -> Transition {
        switch state {
        case .off, .paused, .saved, .transitional: .set(.running)
        case .running: .unchanged
        case .error: .invalidState
        }
    }
}
