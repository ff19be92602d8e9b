/// Something that happened to a machine, in order per machine; delivered at least once.
package struct MachineEvent: Sendable, Hashable {
    package enum StopReason: String, Sendable {
        case requested, guest, crashed, host, migrated
    }

    package enum Kind: Sendable, Hashable {
        case started
        case stopped(StopReason)
        case paused
        case resumed
        case saved
        /// By the guest itself; a reset that was asked for is not reported.
        case rebooted
        case crashed
        case migratedIn
        case migratedOut
        case removed
    }

    package var sequence: UInt64
    package var uuid: InstanceUUID
    /// The incarnation it belongs to; events older than the machine's present one are stale.
    package var incarnation: UInt64
    package var kind: Kind

    package init(sequence: UInt64, uuid: InstanceUUID, incarnation: UInt64, kind: Kind) {
        self.sequence = sequence
        self.uuid = uuid
        self.incarnation = incarnation
        self.kind = kind
    }
}
