/// A live migration as one of its hosts remembers it, from before anything is prepared until nothing is left to do.
package struct InstanceMove: Sendable, Hashable {
    package enum Role: String, Sendable {
        /// This host is the source; whether the machine has left, only its backend can tell.
        case leaving
        /// This host was the source, and the machine has left it.
        case left
        /// This host is the destination and waits for the source's word.
        case arriving
    }

    package var role: Role
    /// The name of the other host.
    package var peer: String
    /// Names the migration, also when it is taken up again.
    package var transfer: String
    /// Whether both hosts see the same instance directory.
    package var sharesDirectory: Bool

    package init(role: Role, peer: String, transfer: String, sharesDirectory: Bool) {
        self.role = role
        self.peer = peer
        self.transfer = transfer
        self.sharesDirectory = sharesDirectory
    }
}
