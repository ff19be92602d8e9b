package import HostBackend

/// What `get_info` and most operations answer.
package struct InstanceInfo: Sendable, Hashable {
    package var uuid: InstanceUUID
    package var name: String
    package var host: String
    /// `running`, `paused`, `suspended`, `off`, `error`, or a transitional name such as `stopping`.
    package var state: String
    /// Nova's number (VM operations, section 2.3).
    package var powerState: Int
    /// The operation in progress.
    package var task: String?
    package var memoryMB: Int
    package var vcpus: Int
    package var rootGB: Int
    package var imageRef: String?
    package var metadata: [String: String]
    package var createdAt: Int64
    /// Figures of the host, where it has them.
    package var machine: MachineStatus?
    package var migration: MigrationProgress?
    /// Where a cold migration or resize stands that is not over.
    package var resize: ResizePhase?

    package init(
        uuid: InstanceUUID,
        name: String,
        host: String,
        state: String,
        powerState: Int,
        task: String? = nil,
        memoryMB: Int,
        vcpus: Int,
        rootGB: Int,
        imageRef: String? = nil,
        metadata: [String: String] = [:],
        createdAt: Int64,
        machine: MachineStatus? = nil,
        migration: MigrationProgress? = nil
    ) {
        self.uuid = uuid
        self.name = name
        self.host = host
        self.state = state
        self.powerState = powerState
        self.task = task
        self.memoryMB = memoryMB
        self.vcpus = vcpus
        self.rootGB = rootGB
        self.imageRef = imageRef
        self.metadata = metadata
        self.createdAt = createdAt
        self.machine = machine
        self.migration = migration
    }
}

/// A cold migration or resize that is done, and what is still due.
package enum ResizePhase: String, Sendable, Hashable {
    /// Somebody has to confirm or revert it.
    case unconfirmed
    case confirming, reverting
}

/// What an instance is going through while an operation works on it (VM operations, section 5.1).
package enum TransitionalState: String, Sendable, Hashable {
    case building, starting, stopping, rebooting, pausing, resuming, saving, deleting, resizing
    case migratingOut = "migrating-out"
    case migratingIn = "migrating-in"
}

extension MachineState {
    /// The name that clients see.
    package var clientName: String {
        switch self {
        case .off: "off"
        case .running, .transitional: "running"
        case .paused: "paused"
        case .saved: "suspended"
        case .error: "error"
        }
    }

    /// Nova's power state number; intermediate states count as running.
    package var novaPowerState: Int {
        switch self {
        case .running, .transitional: 1
        case .paused: 3
        case .off: 4
        case .error: 6
        case .saved: 7
        }
    }
}
