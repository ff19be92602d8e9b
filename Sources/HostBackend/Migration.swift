package import Support

/// What the two hosts of a live migration agree on before it starts; a JSON object so that it travels between
/// processes and so that each kind of host can add its own members. The boolean `shares_directory` says that both hosts
/// see one instance directory.
package typealias MigrationTicket = JSONObject

package struct MigrationOptions: Sendable, Hashable {
    /// The disks are copied too, because the hosts share no storage.
    package var copyStorage: Bool
    /// How the source reaches the destination host.
    package var destination: String

    package init(copyStorage: Bool, destination: String) {
        self.copyStorage = copyStorage
        self.destination = destination
    }
}

package struct MigrationProgress: Sendable, Hashable {
    package enum Phase: String, Sendable {
        case setup, precopy, switchover, completed
    }

    package var phase: Phase
    package var transferredBytes: UInt64
    package var remainingBytes: UInt64

    package init(phase: Phase, transferredBytes: UInt64, remainingBytes: UInt64) {
        self.phase = phase
        self.transferredBytes = transferredBytes
        self.remainingBytes = remainingBytes
    }
}
