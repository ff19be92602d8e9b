package import AMQPModel

/// How a ``BrokerSession`` behaves, beside where it connects to.
package struct SessionSettings: Sendable {
    /// Declared and consumed on every new connection, in this order. More can be added at run time.
    package var topology: [TopologyStep]
    /// Deliveries that may be unsettled per consumer; 0 = no limit.
    package var prefetch: UInt16
    /// Messages above this size are discarded while they come in, and refused when published.
    package var maximumMessageBytes: Int
    /// Above either of these two the session stops taking deliveries until half of it is left.
    package var outboundMessages: Int
    package var outboundBytes: Int
    /// How often a message is sent at most when the broker closes the channel over it.
    package var publishAttempts: Int
    /// How often a message is sent at most when the broker refuses it (`basic.nack`), with pauses that grow to a second.
    /// Quorum queues refuse while they elect a leader: hundreds of them at once, on busy nodes, for half a minute and more.
    package var refusedAttempts: Int
    /// How many published messages may wait for their confirmation before further ones are held back.
    package var unconfirmedLimit: Int
    /// Queues to delete when the session is closed in order.
    package var deleteOnClose: [String]
    /// Longest pause between attempts which only a change at the broker can help, as of a password or a permission: one
    /// attempt a second costs a broker little, and service is back soon after it is given.
    package var refusedPause: Duration

    package init(
        topology: [TopologyStep] = [],
        prefetch: UInt16 = 200,
        maximumMessageBytes: Int = 64 << 20,
        outboundMessages: Int = 20_000,
        outboundBytes: Int = 256 << 20,
        publishAttempts: Int = 3,
        refusedAttempts: Int = 150,
        unconfirmedLimit: Int = 10_000,
        deleteOnClose: [String] = [],
        refusedPause: Duration = .seconds(1)
    ) {
        self.topology = topology
        self.prefetch = prefetch
        self.maximumMessageBytes = maximumMessageBytes
        self.outboundMessages = outboundMessages
        self.outboundBytes = outboundBytes
        self.publishAttempts = publishAttempts
        self.refusedAttempts = refusedAttempts
        self.unconfirmedLimit = unconfirmedLimit
        self.deleteOnClose = deleteOnClose
        self.refusedPause = refusedPause
    }
}
