package import HostBackend

/// What an operator decides about live migrations of real machines; the group `migration`.
package struct MigrationLimits: Sendable, Hashable {
    /// What becomes of a guest that changes its memory faster than it can be sent, when the time is up.
    package enum LastResort: String, Sendable, CaseIterable {
        /// It stays where it is.
        case abort
        /// It stands still while the rest is sent.
        case pause
    }

    /// Where machines that arrive are listened for: an IP address of this host's.
    package var address = "127.0.0.1"
    /// The ports for them; `nil` = whichever the kernel has free.
    package var ports: ClosedRange<Int>?
    /// Bytes a second that a migration sends; `nil` = any number.
    package var bandwidth: Int?
    /// How long a transfer may stand still, before and during the switch-over.
    package var progressTimeout = Duration.seconds(30)
    package var switchoverTimeout = Duration.seconds(10)
    /// How long the guest may stand still at the switch-over: at first, and when it does not come to an end.
    package var downtime = Duration.milliseconds(300)
    package var maximumDowntime = Duration.seconds(2)
    /// Whether a guest that changes its memory fast is slowed down.
    package var autoConverge = true
    /// How long memory may be copied before ``lastResort``; `nil` = for ever.
    package var completionTimeout: Duration?
    package var lastResort = LastResort.abort
    /// Connections that carry memory.
    package var channels = 1
    /// Encryption; `nil` = none.
    package var tls: MigrationCertificates?

    package init() {}
}
