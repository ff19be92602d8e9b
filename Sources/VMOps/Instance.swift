import HostBackend
import Support
import Synchronization

/// One instance of this host: its record, what is being done to it, and the lane that its operations queue in.
final class Instance: Sendable {
    struct Activity {
        var operation: String
        var state: TransitionalState?
        var migration: MigrationProgress?
    }

    private struct State {
        var record: InstanceRecord
        var activity: Activity?
        var gone = false
        /// What the running operation waits with, if others may cut its waiting short.
        var interruption: Interruption?
        /// Operations in the lane that do not want to sit out the waiting of those before them.
        var impatient = 0
        var events: [MachineEvent] = []
        var expectedReboots = 0
    }

    let uuid: InstanceUUID
    let lane = SerialLane()
    /// Serialises what is done about it after it has left this host.
    let leavingLane = SerialLane()
    private let state: Mutex<State>

    init(_ record: InstanceRecord) {
        uuid = record.uuid
        state = Mutex(State(record: record))
    }

    var record: InstanceRecord { state.withLock { $0.record } }

    /// Looks at record and activity of one moment without copying them.
    func read<Result>(_ body: (borrowing InstanceRecord, Activity?) -> Result) -> Result {
        state.withLock { body($0.record, $0.activity) }
    }

    /// Record and activity of one moment.
    var snapshot: (record: InstanceRecord, activity: Activity?) { state.withLock { ($0.record, $0.activity) } }

    /// Destroyed or migrated away: operations that waited in the lane find nothing.
    var isGone: Bool { state.withLock { $0.gone } }
    func markGone() { state.withLock { $0.gone = true } }

    func begin(_ activity: Activity) { state.withLock { $0.activity = activity } }
    func end() { state.withLock { $0.activity = nil } }

    func report(_ progress: MigrationProgress) { state.withLock { $0.activity?.migration = progress } }

    /// Changes the record.
    ///
    /// - Returns: the new record, if it differs from the old one.
    func update(_ change: (inout InstanceRecord) -> Void) -> InstanceRecord? {
        state.withLock { state in
            let before = state.record
            change(&state.record)
            return state.record == before ? nil : state.record
        }
    }

    // MARK: Cutting waits short

    /// The running operation starts to wait for something that others may stop waiting for.
    func beginInterruptible() -> Interruption {
        let interruption = Interruption()
        let hurried = state.withLock { state in
            state.interruption = interruption
            return state.impatient > 0
        }
        if hurried { interruption.interrupt("superseded by a later request") }
        return interruption
    }

    func endInterruptible() { state.withLock { $0.interruption = nil } }

    /// Ends a wait in progress; `false` when there is none.
    func interrupt(_ reason: String) -> Bool {
        guard let interruption = state.withLock({ $0.interruption }) else { return false }
        interruption.interrupt(reason)
        return true
    }

    /// Runs `body` in the lane without sitting out the interruptible waits of the operations before it.
    func hurry<Result>(_ reason: String, _ body: () async throws -> Result) async throws -> Result {
        state.withLock { $0.impatient += 1 }
        _ = interrupt(reason)
        var waiting = true
        defer { if waiting { state.withLock { $0.impatient -= 1 } } }
        return try await lane.run {
            waiting = false
            state.withLock { $0.impatient -= 1 }
            return try await body()
        }
    }

    // MARK: Events

    /// Events that may wait for the lane. Beyond it the oldest are dropped: they are hints, and what is done follows
    /// the machine's state of then.
    private static let mostEvents = 64

    /// - Returns: whether somebody has to be sent to handle it; otherwise somebody is on the way.
    func queue(_ event: MachineEvent) -> Bool {
        state.withLock { state in
            state.events.append(event)
            if state.events.count > Self.mostEvents { state.events.removeFirst() }
            return state.events.count == 1
        }
    }

    /// Whether events wait to be handled.
    var hasEvents: Bool { state.withLock { !$0.events.isEmpty } }

    /// The next reboot that the host reports was asked for.
    func expectReboot() { state.withLock { $0.expectedReboots += 1 } }

    /// A machine that was started anew owes no report of an earlier reset.
    func forgetExpectedReboots() { state.withLock { $0.expectedReboots = 0 } }

    /// Whether a reported reboot is one that was asked for.
    func takeExpectedReboot() -> Bool {
        state.withLock { state in
            guard state.expectedReboots > 0 else { return false }
            state.expectedReboots -= 1
            return true
        }
    }

    /// The events queued so far, in order.
    func takeEvents() -> [MachineEvent] {
        state.withLock { state in
            defer { state.events = [] }
            return state.events
        }
    }
}
