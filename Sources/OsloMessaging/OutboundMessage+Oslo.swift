package import AMQPModel

/// Messages with the routing and properties of oslo.messaging (oslo.messaging wire, section 3).
extension OutboundMessage {
    /// A call; the broker drops it when nobody took it within `timeout`.
    ///
    /// - Parameter mandatory: `at_least_once`: have it returned when there is no queue.
    package static func call(
        _ body: [UInt8],
        to target: RPCTarget,
        timeout: Duration,
        mandatory: Bool = false
    ) -> OutboundMessage {
        OutboundMessage(
            exchange: target.exchange,
            routingKey: target.queue ?? target.topic,
            mandatory: mandatory,
            properties: OsloProperties.call(timeout: timeout),
            body: body
        )
    }

    /// A cast to a topic or a server, or to all servers when the target is a fan-out.
    package static func cast(_ body: [UInt8], to target: RPCTarget, mandatory: Bool = false) -> OutboundMessage {
        guard let queue = target.queue else { return .fanout(body, topic: target.topic) }
        return OutboundMessage(
            exchange: target.exchange,
            routingKey: queue,
            mandatory: mandatory,
            properties: OsloProperties.plain,
            body: body
        )
    }

    /// A cast to all servers of a topic. Its exchange is declared by ``RPCTopology/fanoutCaster(topic:options:)``.
    package static func fanout(_ body: [UInt8], topic: String) -> OutboundMessage {
        OutboundMessage(
            exchange: RPCTopology.fanoutExchange(topic),
            routingKey: "",
            mandatory: false,
            properties: OsloProperties.plain,
            body: body
        )
    }

    /// A reply or heartbeat.
    package static func reply(_ body: [UInt8], to queue: String, mandatory: Bool = true) -> OutboundMessage {
        OutboundMessage(
            exchange: "",
            routingKey: queue,
            mandatory: mandatory,
            properties: OsloProperties.plain,
            body: body
        )
    }

    /// A notification. Its queue is declared by ``RPCTopology/notifier(exchange:topic:priority:options:)``.
    package static func notification(
        _ body: [UInt8],
        exchange: String,
        topic: String,
        priority: Notification.Priority
    ) -> OutboundMessage {
        OutboundMessage(
            exchange: exchange,
            routingKey: RPCTopology.notificationQueue(topic, priority),
            mandatory: false,
            properties: OsloProperties.plain,
            body: body
        )
    }
}
