package import OsloMessaging

/// What a ``Notifier`` sends and how patiently: `[oslo_messaging_notifications]` (oslo.messaging wire, section 12).
package struct NotifierSettings: Sendable {
    /// `driver`: each notification is sent once per form. Empty = nothing is sent.
    package var drivers: [Notification.Driver]
    /// The control exchange.
    package var exchange: String
    package var topics: [String]
    /// Further rounds of connecting after the first that failed, before what waits is dropped; -1 = until it is sent.
    package var retry: Int
    /// The most messages that may wait to be sent or confirmed; further ones are dropped.
    package var capacity: Int
    package var topology: TopologyOptions
    /// How long an orderly end waits for what is unsent.
    package var drainTimeout: Duration

    package init(
        drivers: [Notification.Driver],
        exchange: String,
        topics: [String] = ["notifications"],
        retry: Int = -1,
        capacity: Int = 10_000,
        topology: TopologyOptions = TopologyOptions(),
        drainTimeout: Duration = .seconds(2)
    ) {
        self.drivers = drivers
        self.exchange = exchange
        self.topics = topics
        self.retry = retry
        self.capacity = capacity
        self.topology = topology
        self.drainTimeout = drainTimeout
    }
}
