import HostBackend

/// The last known state of each machine of ours, and what a new inventory says has happened to it.
struct PluginInventory: Sendable {
    struct Known: Sendable, Hashable {
        var state: MachineState
        var incarnation: UInt64
    }

    struct Change: Sendable, Hashable {
        var uuid: InstanceUUID
        var incarnation: UInt64
        var kind: MachineEvent.Kind
    }

    /// More machines than any host has: of what a plugin tells beyond them nothing is noted.
    static let limit = 100_000

    private(set) var machines: [InstanceUUID: Known] = [:]
    /// Heard of since the present inventory began: what it says of them may be older.
    private var touched: Set<InstanceUUID> = []
    /// Whether there ever was a complete one.
    private(set) var isComplete = false

    /// Before an inventory is asked for.
    mutating func begin() { touched = [] }

    /// An answer about one machine, or an event.
    mutating func learned(_ uuid: InstanceUUID, _ state: MachineState, _ incarnation: UInt64) {
        guard incarnation >= machines[uuid]?.incarnation ?? 0, hasRoom(for: uuid) else { return }
        touched.insert(uuid)
        machines[uuid] = Known(state: state, incarnation: incarnation)
    }

    mutating func learned(_ uuid: InstanceUUID, _ state: MachineState) {
        guard hasRoom(for: uuid) else { return }
        touched.insert(uuid)
        machines[uuid]?.state = state
    }

    mutating func removed(_ uuid: InstanceUUID) {
        if hasRoom(for: uuid) { touched.insert(uuid) }
        machines[uuid] = nil
    }

    private func hasRoom(for uuid: InstanceUUID) -> Bool {
        touched.contains(uuid) || (touched.count < Self.limit && (machines.count < Self.limit || machines[uuid] != nil))
    }

    mutating func happened(_ uuid: InstanceUUID, _ incarnation: UInt64, _ kind: MachineEvent.Kind) {
        switch kind {
        case .started, .resumed, .migratedIn, .rebooted: learned(uuid, .running, incarnation)
        case .stopped: learned(uuid, .off, incarnation)
        case .paused: learned(uuid, .paused, incarnation)
        case .saved: learned(uuid, .saved, incarnation)
        case .crashed: learned(uuid, .error, incarnation)
        case .migratedOut, .removed: if incarnation >= machines[uuid]?.incarnation ?? 0 { removed(uuid) }
        }
    }

    /// Takes a complete inventory.
    ///
    /// - Parameter tellsAll: what is there counts as news too, for listeners who have seen no inventory.
    /// - Returns: what must have happened since the last one, by uuid.
    mutating func listed(_ list: [MachineSummary], tellsAll: Bool) -> [Change] {
        var changes: [Change] = []
        var present: Set<InstanceUUID> = []
        for machine in list {
            guard let uuid = machine.uuid else { continue }
            present.insert(uuid)
            guard !touched.contains(uuid), machine.state != .transitional else { continue }
            let known = machines[uuid]
            machines[uuid] = Known(state: machine.state, incarnation: machine.incarnation)
            guard known != nil || tellsAll else { continue }
            let before = known?.incarnation == machine.incarnation ? known?.state : nil
            if let kind = Self.change(from: before, to: machine.state) {
                changes.append(Change(uuid: uuid, incarnation: machine.incarnation, kind: kind))
            }
        }
        for (uuid, known) in machines where !present.contains(uuid) && !touched.contains(uuid) {
            machines[uuid] = nil
            changes.append(Change(uuid: uuid, incarnation: known.incarnation, kind: .removed))
        }
        isComplete = true
        return changes.sorted { $0.uuid < $1.uuid }
    }

    private static func change(from before: MachineState?, to now: MachineState) -> MachineEvent.Kind? {
        guard before != now else { return nil }
        switch (before, now) {
        case (.paused, .running), (.saved, .running): return .resumed
        case (_, .running): return .started
        case (_, .off): return .stopped(.guest)
        case (_, .paused): return .paused
        case (_, .saved): return .saved
        case (_, .error): return .crashed
        case (_, .transitional): return nil
        }
    }
}
