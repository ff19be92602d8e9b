/// The state of a machine as its host reports it.
package enum MachineState: String, Sendable, Hashable, CaseIterable {
    case off
    case running
    case paused
    /// Memory saved to disk, not running (Nova: SUSPENDED).
    case saved
    /// The host reports a crash or a condition it cannot run on from.
    case error
    /// Between two states; reported as running to clients (VM operations, section 2.3).
    case transitional
}

/// The states a machine can be asked to reach.
package enum TargetState: String, Sendable, Hashable, CaseIterable {
    case running, off, paused, saved

    package var state: MachineState {
        switch self {
        case .running: .running
        case .off: .off
        case .paused: .paused
        case .saved: .saved
        }
    }
}

/// A host's answer to the request that a guest shut itself down.
package enum ShutdownAnswer: Sendable, Hashable {
    case accepted
    /// Not now, for example while the guest still boots.
    case notReady
    /// This guest has nothing that could obey.
    case unsupported
}

/// What is known of a machine at one moment; figures only where the host really has them.
package struct MachineStatus: Sendable, Hashable {
    package var uuid: InstanceUUID
    package var name: String
    package var state: MachineState
    /// Counts the machine's definitions under this uuid; an event of an older one is stale.
    package var incarnation: UInt64
    package var maxMemoryKB: UInt64?
    package var memoryKB: UInt64?
    package var cpuCount: Int?
    package var cpuTimeNanoseconds: UInt64?
    package var hasConsole: Bool

    package init(
        uuid: InstanceUUID,
        name: String,
        state: MachineState,
        incarnation: UInt64 = 0,
        maxMemoryKB: UInt64? = nil,
        memoryKB: UInt64? = nil,
        cpuCount: Int? = nil,
        cpuTimeNanoseconds: UInt64? = nil,
        hasConsole: Bool = true
    ) {
        self.uuid = uuid
        self.name = name
        self.state = state
        self.incarnation = incarnation
        self.maxMemoryKB = maxMemoryKB
        self.memoryKB = memoryKB
        self.cpuCount = cpuCount
        self.cpuTimeNanoseconds = cpuTimeNanoseconds
        self.hasConsole = hasConsole
    }
}

/// One line of a host's inventory. Machines whose first note is no UUID are foreign: they are listed and never touched.
package struct MachineSummary: Sendable, Hashable {
    package var name: String
    /// From the machine's first note; `nil` = foreign.
    package var uuid: InstanceUUID?
    package var state: MachineState
    package var incarnation: UInt64

    package init(name: String, uuid: InstanceUUID?, state: MachineState, incarnation: UInt64 = 0) {
        self.name = name
        self.uuid = uuid
        self.state = state
        self.incarnation = incarnation
    }
}
