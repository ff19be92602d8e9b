package import AMQPModel

/// Receives what a ``BrokerSession`` reads.
///
/// Both functions run on the session's I/O thread, one call at a time, and must not wait for anything: while they run
/// nothing is read, written or kept alive. They may call ``BrokerSession/publish(_:declaring:completion:)`` and
/// ``BrokerSession/settle(_:_:)``, which are cheapest there.
package protocol DeliveryHandler: Sendable {
    /// Takes a delivery. A returned settlement is applied at the end of the present batch; `nil` leaves it to a later
    /// ``BrokerSession/settle(_:_:)``.
    func received(_ delivery: Delivery) -> Settlement?

    /// Something changed that is worth a log line or a reaction.
    func sessionChanged(_ event: SessionEvent)
}

extension DeliveryHandler {
    package func sessionChanged(_ event: SessionEvent) {}
}

/// Which of a session's two connections something is about.
package enum ConnectionRole: String, Sendable, Hashable, CaseIterable {
    /// Consumes and acknowledges.
    case consuming
    /// Publishes with confirms. Apart from the other one because the broker stops reading from connections that
    /// publish while it is short of memory or disk space, acknowledgements included.
    case publishing
}

/// A change in the life of a session.
package enum SessionEvent: Sendable, Hashable {
    /// The connection is open and, for the consuming one, the topology is in place.
    case ready(ConnectionRole, address: String)
    /// The connection is gone; the session is already working on a new one.
    case lost(ConnectionRole, reason: String)
    /// An attempt to connect failed. `permanent` when only a change of configuration can help (wrong credentials, no
    /// such virtual host, unreadable key file, 541 on a declaration); such attempts are repeated slowly.
    case connectFailed(ConnectionRole, address: String, reason: String, permanent: Bool)
    /// An object exists with other properties than configured (406); it is used as it is
    /// (oslo.messaging wire, section 2.4).
    case topologyMismatch(TopologyStep, text: String)
    /// A declaration failed otherwise and is tried again after a pause.
    case topologyFailed(TopologyStep?, text: String)
    /// The broker cancelled a consumer, usually because its queue was deleted; it is being set up again.
    case consumerCancelled(queue: String)
    /// The broker is short of resources and takes no messages until ``unblocked``.
    case blocked(reason: String)
    case unblocked
    /// No further deliveries are taken because too much waits to be published; `false` when it goes on.
    case throttled(Bool)
}
