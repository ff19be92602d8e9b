/// A live migration as one of its hosts remembers it, from before anything is prepared until nothing is left to do.
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

    package init(role: Role, peer: String, transfer: String, sharesDirectory: Bool, isPrepared: Bool = false) {
        self.isPrepared = isPrepared
        self.role = role
        self.peer = peer
        self.transfer = transfer
        self.sharesDirectory = sharesDirectory
    }
}
