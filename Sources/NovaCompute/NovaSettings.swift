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

    package init() {}
}
