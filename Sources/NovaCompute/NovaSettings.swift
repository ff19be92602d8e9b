package import NovaObjects

/// How a host behaves towards a control plane.
package struct NovaSettings: Sendable, Hashable {
    /// The versions in which objects are sent.
    package var versions = ObjectVersions()
    /// `rpc_response_timeout`: for an answer of the conductor, or of another compute.
    package var responseTimeout: Duration = .seconds(60)
    /// `long_rpc_timeout`: for what another compute may take long for; its signs of life come within ``responseTimeout``.
    package var longTimeout: Duration = .seconds(1800)
    /// How long a save is tried again while no conductor answers. An operation does not end before.
    package var conductorPatience: Duration = .seconds(600)
    /// How long an event of an action may hold up its operation.
    package var eventTimeout: Duration = .seconds(5)
    /// Nova's `shutdown_timeout`: how long guests may take to shut themselves down.
    package var shutdownTimeout: Duration = .seconds(60)
    /// Nova's `shutdown_retry_interval`.
    package var shutdownInterval: Duration = .seconds(10)

    /// Nova's `vif_plugging_timeout`: how long a boot waits until its ports are connected; zero = not at all.
    package var pluggingTimeout: Duration = .seconds(300)
    /// Nova's `vif_plugging_is_fatal`: whether a boot fails when they are not.
    package var pluggingIsFatal = true

    /// The version of the service's record: what the control plane takes the host for (Nova's compute RPC, section 1.1).
    package var serviceVersion = 64
    /// Between two signs of life.
    package var reportInterval: Duration = .seconds(10)
    /// Between two looks at the host's resources; they are also written when an operation has changed them.
    package var resourceInterval: Duration = .seconds(60)
    /// Between two comparisons of all instances' states with the database; zero = none but the one at the start.
    package var syncInterval: Duration = .seconds(600)
    /// What becomes of a machine here whose record has been deleted.
    package var deletedAction = DeletedInstanceAction.reap
    /// What of the host is not for guests.
    package var reservedCPUs = 0
    package var reservedMemoryMB = 512
    package var reservedDiskMB = 0
    /// `nil`: whatever the control plane has; the initial ones are for a host that it has not.
    package var cpuAllocationRatio: Double?
    package var ramAllocationRatio: Double?
    package var diskAllocationRatio: Double?
    package var initialCPUAllocationRatio = 4.0
    package var initialRAMAllocationRatio = 1.0
    package var initialDiskAllocationRatio = 1.0
    /// The host's address, if it is to stand in its record.
    package var address: String?

    package init() {}
}

/// Nova's `running_deleted_instance_action`.
package enum DeletedInstanceAction: String, Sendable, Hashable, CaseIterable {
    /// Nothing, and not even a line in the log.
    case noop
    case log
    /// Switched off; its files stay.
    case shutdown
    /// Removed with everything that belongs to it.
    case reap
}
