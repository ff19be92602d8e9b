/// A live or cold migration or resize as one of its hosts remembers it, from before anything is prepared until nothing is left to do.
package struct InstanceMove: Sendable, Hashable {
    package enum Role: String, Sendable {
        /// This host is the source; whether the machine has left, only its backend can tell.
        case leaving
        /// This host was the source, and the machine has left it.
        case left
        /// As ``left``, and the destination has said that it runs the machine: only cleaning up is left.
        case delivered
        /// This host is the destination and waits for the source's word.
        case arriving
        /// This host was the destination, the machine runs here, and its console log is still on its way.
        case arrived
        /// This host was the source of a cold migration and keeps what it needs for the way back, until it is told.
        case kept
        /// The instance is here, cold migrated or resized, and somebody still has to confirm or revert that.
        case resized
        /// Confirmed here: the source is to remove what it kept.
        case confirming
        /// Reverted here: the machine is removed, and the source to bring it back.
        case reverting
    }

    package var role: Role
    /// The name of the other host.
    package var peer: String
    /// Names the migration, also when it is taken up again.
    package var transfer: String
    /// Whether both hosts see the same instance directory.
    package var sharesDirectory: Bool
    /// At the destination: everything is ready, and the guest may have come. It is not made anew from then on.
    package var isPrepared: Bool
    /// `nil` for a live migration.
    package var resize: InstanceResize?

    /// Whether the machine is off while it moves.
    package var isCold: Bool { resize != nil }

    package init(
        role: Role,
        peer: String,
        transfer: String,
        sharesDirectory: Bool,
        isPrepared: Bool = false,
        resize: InstanceResize? = nil
    ) {
        self.resize = resize
        self.isPrepared = isPrepared
        self.role = role
        self.peer = peer
        self.transfer = transfer
        self.sharesDirectory = sharesDirectory
    }
}
