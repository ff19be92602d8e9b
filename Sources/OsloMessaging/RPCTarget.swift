/// Where a request goes (oslo.messaging wire, section 3).
package struct RPCTarget: Sendable, Hashable {
    /// The service's control exchange.
    package var exchange: String
    package var topic: String
    /// One host of the topic; `nil` = any.
    package var server: String?
    /// To every host of the topic; casts only.
    package var fanout: Bool
    package var namespace: String?
    package var version: String?

    package init(
        exchange: String,
        topic: String,
        server: String? = nil,
        fanout: Bool = false,
        namespace: String? = nil,
        version: String? = nil
    ) {
        self.exchange = exchange
        self.topic = topic
        self.server = server
        self.fanout = fanout
        self.namespace = namespace
        self.version = version
    }

    /// The queue a message for the target reaches, also its routing key; `nil` for fan-out.
    package var queue: String? {
        guard !fanout else { return nil }
        return server.map { "\(topic).\($0)" } ?? topic
    }
}
