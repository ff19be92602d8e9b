package import AMQPModel

/// What oslo.messaging's processes declare, in their order (oslo.messaging wire, section 2).
package enum RPCTopology {
    // MARK: Names

    /// The exchange that fan-out casts of a topic go to; not scoped by the control exchange.
    package static func fanoutExchange(_ topic: String) -> String { "\(topic)_fanout" }

    /// The queue of one server.
    package static func serverQueue(_ topic: String, _ server: String) -> String { "\(topic).\(server)" }

    /// A server's fan-out queue; `id` is chosen once per server and kept over reconnections.
    package static func fanoutQueue(_ topic: String, _ id: String, _ options: TopologyOptions) -> String {
        options.streamFanout ? fanoutExchange(topic) : "\(topic)_fanout_\(id)"
    }

    /// A client's reply queue; `id` is chosen once per process.
    package static func replyQueue(_ id: String) -> String { "reply_\(id)" }

    package static func notificationQueue(_ topic: String, _ priority: Notification.Priority) -> String {
        "\(topic).\(priority.rawValue.lowercased())"
    }

    // MARK: Roles

    /// What a server declares and consumes: the topic's queue, its own, its fan-out queue.
    ///
    /// - Parameters:
    ///   - fanoutID: a ``Support/UniqueID``, the same for the life of the server.
    ///   - consumerTagPrefix: before `1`, `2` and `3`; unique per server and topic where several share a channel.
    ///   - streamOffset: with `rabbit_stream_fanout` after a reconnection, the offset to go on at.
    package static func server(
        topic: String,
        server: String,
        exchange: String,
        fanoutID: String,
        consumerTagPrefix: String = "",
        options: TopologyOptions,
        streamOffset: Int64? = nil
    ) -> [TopologyStep] {
        let own = serverQueue(topic, server)
        let fanout = fanoutQueue(topic, fanoutID, options)
        return shared(queue: topic, key: topic, exchange, options) + shared(queue: own, key: own, exchange, options)
            + [
                .exchange(fanoutDeclaration(topic, options)),
                .queue(fanoutQueueDeclaration(fanout, options)),
                .binding(BindingDeclaration(queue: fanout, exchange: fanoutExchange(topic), routingKey: topic)),
                consumer(topic, consumerTagPrefix + "1", options),
                consumer(own, consumerTagPrefix + "2", options),
                consumer(fanout, consumerTagPrefix + "3", options, isStream: options.streamFanout, streamOffset),
            ]
    }

    /// What a client that makes calls declares on the connection it takes replies from.
    package static func client(
        replyQueue: String,
        consumerTag: String = "1",
        options: TopologyOptions
    ) -> [TopologyStep] {
        let declaration = QueueDeclaration(
            name: replyQueue,
            durable: options.transientQuorumQueue,
            arguments: transientArguments(options)
        )
        return [.queue(declaration), consumer(replyQueue, consumerTag, options)]
    }

    /// What is declared once per channel before anything is published to the control exchange.
    package static func sender(exchange: String, options: TopologyOptions) -> [TopologyStep] {
        [.exchange(topicExchange(exchange, options))]
    }

    /// What is declared once per channel before a fan-out cast.
    package static func fanoutCaster(topic: String, options: TopologyOptions) -> [TopologyStep] {
        [.exchange(fanoutDeclaration(topic, options))]
    }

    /// What is declared once per channel before a notification, so that it is kept when nobody listens yet.
    package static func notifier(
        exchange: String,
        topic: String,
        priority: Notification.Priority,
        options: TopologyOptions
    ) -> [TopologyStep] {
        let queue = notificationQueue(topic, priority)
        return shared(queue: queue, key: queue, exchange, options)
    }

    /// What a listener declares and consumes for notifications of the priorities it wants.
    ///
    /// - Parameter pool: listeners of one pool share a queue of that name; `nil` = a queue per topic and priority.
    package static func notificationListener(
        exchange: String,
        topics: [String],
        priorities: [Notification.Priority],
        pool: String? = nil,
        options: TopologyOptions
    ) -> [TopologyStep] {
        let keys = topics.flatMap { topic in priorities.map { notificationQueue(topic, $0) } }
        let queues = pool.map { [$0] } ?? keys
        return keys.flatMap { shared(queue: pool ?? $0, key: $0, exchange, options) }
            + queues.enumerated().map { consumer($1, String($0 + 1), options) }
    }

    // MARK: Declarations

    private static func topicExchange(_ name: String, _ options: TopologyOptions) -> ExchangeDeclaration {
        ExchangeDeclaration(
            name: name,
            kind: .topic,
            durable: options.durableQueues || options.quorumQueue,
            autoDelete: options.autoDelete
        )
    }

    private static func fanoutDeclaration(_ topic: String, _ options: TopologyOptions) -> ExchangeDeclaration {
        ExchangeDeclaration(
            name: fanoutExchange(topic),
            kind: .fanout,
            durable: options.transientQuorumQueue,
            autoDelete: true
        )
    }

    /// A queue that others may share, bound to the control exchange.
    private static func shared(
        queue: String,
        key: String,
        _ exchange: String,
        _ options: TopologyOptions
    ) -> [TopologyStep] {
        var arguments = haArguments(options)
        if options.quorumQueue { arguments.merge(quorumArguments(options)) { $1 } }
        return [
            .exchange(topicExchange(exchange, options)),
            .queue(
                QueueDeclaration(
                    name: queue,
                    durable: options.durableQueues || options.quorumQueue,
                    autoDelete: options.autoDelete,
                    arguments: arguments
                )
            ),
            .binding(BindingDeclaration(queue: queue, exchange: exchange, routingKey: key)),
        ]
    }

    private static func fanoutQueueDeclaration(_ name: String, _ options: TopologyOptions) -> QueueDeclaration {
        guard options.streamFanout else {
            return QueueDeclaration(
                name: name,
                durable: options.transientQuorumQueue,
                arguments: transientArguments(options)
            )
        }
        var arguments: FieldTable = ["x-queue-type": .string("stream")]
        if options.transientQueuesTTL > 0 { arguments["x-max-age"] = .string("\(options.transientQueuesTTL)s") }
        return QueueDeclaration(name: name, durable: true, arguments: arguments)
    }

    /// Arguments of fan-out and reply queues.
    private static func transientArguments(_ options: TopologyOptions) -> FieldTable {
        var arguments = haArguments(options)
        if options.transientQuorumQueue { arguments.merge(quorumArguments(options)) { $1 } }
        if options.transientQueuesTTL > 0 { arguments["x-expires"] = .int(Int64(options.transientQueuesTTL) * 1000) }
        return arguments
    }

    private static func quorumArguments(_ options: TopologyOptions) -> FieldTable {
        var arguments: FieldTable = ["x-queue-type": .string("quorum")]
        for (name, value) in [
            ("x-delivery-limit", options.quorumDeliveryLimit),
            ("x-max-in-memory-length", options.quorumMaxMemoryLength),
            ("x-max-in-memory-bytes", options.quorumMaxMemoryBytes),
        ] where value > 0 {
            arguments[name] = .int(Int64(value))
        }
        return arguments
    }

    private static func haArguments(_ options: TopologyOptions) -> FieldTable {
        options.haQueues ? ["x-ha-policy": .string("all")] : [:]
    }

    private static func consumer(
        _ queue: String,
        _ tag: String,
        _ options: TopologyOptions,
        isStream: Bool = false,
        _ streamOffset: Int64? = nil
    ) -> TopologyStep {
        var arguments: FieldTable = options.cancelOnFailover ? ["x-cancel-on-ha-failover": .bool(true)] : [:]
        if isStream { arguments["x-stream-offset"] = streamOffset.map { .int($0) } ?? .string("last") }
        return .consumer(ConsumerDeclaration(queue: queue, tag: tag, arguments: arguments))
    }
}
