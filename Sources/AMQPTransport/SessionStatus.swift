/// What a session looks like at one moment.
package struct SessionStatus: Sendable, Hashable {
    package struct Connection: Sendable, Hashable {
        package enum State: String, Sendable {
            case idle, connecting, settingUp, ready, waiting, closed
        }

        package var state: State
        /// Host and port in use or tried last.
        package var address: String?
        /// How many connections have been opened so far.
        package var generation: UInt64
        /// Why the last connection or attempt ended.
        package var lastError: String?
    }

    package var consuming: Connection
    package var publishing: Connection
    /// The broker takes no messages at present, see ``SessionEvent/blocked(reason:)``.
    package var blocked: Bool
    /// Seconds of the monotonic clock since the last delivery and the last publish; `nil` = none yet.
    package var secondsSinceDelivery: Double?
    package var secondsSincePublish: Double?
    package var deliveries: UInt64
    package var published: UInt64
    package var confirmed: UInt64
    package var returned: UInt64
    package var failed: UInt64
    package var oversized: UInt64
    /// Messages that wait to be sent or confirmed, and the bytes of their bodies.
    package var outboundMessages: Int
    package var outboundBytes: Int

    /// Both connections serve.
    package var isReady: Bool { consuming.state == .ready && publishing.state == .ready }
}
