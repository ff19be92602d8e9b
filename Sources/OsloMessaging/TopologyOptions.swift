/// The options of `[oslo_messaging_rabbit]` that change what is declared, with oslo.messaging's defaults
/// (oslo.messaging wire, section 2.3).
package struct TopologyOptions: Sendable, Hashable {
    /// `amqp_durable_queues`
    package var durableQueues = false
    /// `amqp_auto_delete`
    package var autoDelete = false
    /// `rabbit_quorum_queue`
    package var quorumQueue = false
    /// `rabbit_transient_quorum_queue`
    package var transientQuorumQueue = false
    /// `rabbit_quorum_delivery_limit`; 0 = none.
    package var quorumDeliveryLimit = 0
    /// `rabbit_quorum_max_memory_length`; 0 = none.
    package var quorumMaxMemoryLength = 0
    /// `rabbit_quorum_max_memory_bytes`; 0 = none.
    package var quorumMaxMemoryBytes = 0
    /// `rabbit_transient_queues_ttl` in seconds; 0 = for ever.
    package var transientQueuesTTL = 1800
    /// `rabbit_ha_queues`
    package var haQueues = false
    /// `rabbit_stream_fanout`
    package var streamFanout = false
    /// `enable_cancel_on_failover`
    package var cancelOnFailover = false
    /// `rabbit_qos_prefetch_count`; 0 = no limit. Set with `basic.qos` before anything is declared.
    package var prefetchCount = 0

    package init() {}

    /// What does not go together or is out of range, one sentence each; empty when all is well.
    package var problems: [String] {
        var problems: [String] = []
        func refuse(_ wrong: Bool, _ sentence: String) { if wrong { problems.append(sentence) } }
        refuse(
            quorumQueue && autoDelete,
            "rabbit_quorum_queue and amqp_auto_delete exclude each other: quorum queues cannot be auto-deleted"
        )
        refuse(
            (quorumQueue || transientQuorumQueue) && haQueues,
            "rabbit_ha_queues may not be combined with quorum queues"
        )
        refuse(
            streamFanout && !transientQuorumQueue,
            "rabbit_stream_fanout requires rabbit_transient_quorum_queue"
        )
        refuse(
            streamFanout && prefetchCount == 0,
            "rabbit_stream_fanout requires rabbit_qos_prefetch_count above 0"
        )
        for (name, value) in [
            ("rabbit_quorum_delivery_limit", quorumDeliveryLimit),
            ("rabbit_quorum_max_memory_length", quorumMaxMemoryLength),
            ("rabbit_quorum_max_memory_bytes", quorumMaxMemoryBytes),
            ("rabbit_transient_queues_ttl", transientQueuesTTL),
        ] {
            refuse(value < 0, "\(name) is negative")
        }
        refuse(!(0...65535).contains(prefetchCount), "rabbit_qos_prefetch_count is not between 0 and 65535")
        return problems
    }
}
