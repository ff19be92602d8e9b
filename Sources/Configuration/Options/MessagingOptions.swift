/// `[oslo_messaging_rabbit]`: names and defaults of oslo.messaging 18.3.1 (oslo.messaging wire, section 14).
package enum MessagingOptions {
    static let group = "oslo_messaging_rabbit"

    static let amqpDurableQueues = OptionKey<Bool>.boolean(
        group,
        "amqp_durable_queues",
        default: false,
        "Declare the exchange and the queues that outlive a process as durable."
    )
    static let amqpAutoDelete = OptionKey<Bool>.boolean(
        group,
        "amqp_auto_delete",
        default: false,
        "Declare the exchange and the queues that outlive a process as auto-delete."
    )
    static let rabbitQuorumQueue = OptionKey<Bool>.boolean(
        group,
        "rabbit_quorum_queue",
        default: false,
        "Use quorum queues, which are durable, where queues outlive a process."
    )
    static let rabbitTransientQuorumQueue = OptionKey<Bool>.boolean(
        group,
        "rabbit_transient_quorum_queue",
        default: false,
        "Use quorum queues for replies and fan-out too."
    )
    static let rabbitQuorumDeliveryLimit = OptionKey<Int>.integer(
        group,
        "rabbit_quorum_delivery_limit",
        default: 0,
        in: 0...Int(Int32.max),
        "Deliveries of one message before a quorum queue drops it; 0: the broker's default."
    )
    static let rabbitQuorumMaxMemoryLength = OptionKey<Int>.integer(
        group,
        "rabbit_quorum_max_memory_length",
        default: 0,
        in: 0...Int(Int32.max),
        aliases: ["rabbit_quroum_max_memory_length"],
        "Messages of a quorum queue kept in memory; 0: the broker's default."
    )
    static let rabbitQuorumMaxMemoryBytes = OptionKey<Int>.integer(
        group,
        "rabbit_quorum_max_memory_bytes",
        default: 0,
        in: 0...Int(Int32.max),
        aliases: ["rabbit_quroum_max_memory_bytes"],
        "Bytes of a quorum queue kept in memory; 0: the broker's default."
    )
    static let rabbitStreamFanout = OptionKey<Bool>.boolean(
        group,
        "rabbit_stream_fanout",
        default: false,
        "Fan out through a stream; needs rabbit_transient_quorum_queue and rabbit_qos_prefetch_count."
    )
    static let rabbitHAQueues = OptionKey<Bool>.boolean(
        group,
        "rabbit_ha_queues",
        default: false,
        "Add the argument x-ha-policy to every queue, which no broker since RabbitMQ 3.0 heeds."
    )
    static let rabbitTransientQueuesTTL = OptionKey<Duration>.seconds(
        group,
        "rabbit_transient_queues_ttl",
        default: 1800,
        in: 0...2_147_483,
        "How long an unused reply or fan-out queue is kept; 0: for ever."
    )
    static let useQueueManager = OptionKey<Bool>.boolean(
        group,
        "use_queue_manager",
        default: false,
        "Name reply and fan-out queues after the machine and the process instead of at random."
    )
    static let hostname = OptionKey<String?>.optional(
        group,
        "hostname",
        sampleDefault: "<the machine's host name>",
        "The machine's part of such names."
    )
    static let processname = OptionKey<String>.string(
        group,
        "processname",
        default: "vmopsd",
        "The process' part of such names."
    )
    static let enableCancelOnFailover = OptionKey<Bool>.boolean(
        group,
        "enable_cancel_on_failover",
        default: false,
        "Ask mirrored queues to cancel the consumer when their master moves."
    )
    static let rabbitQosPrefetchCount = OptionKey<Int>.integer(
        group,
        "rabbit_qos_prefetch_count",
        default: 0,
        in: 0...65535,
        "Unacknowledged messages per consumer; 0: [limits] prefetch."
    )
    static let directMandatoryFlag = OptionKey<Bool>.boolean(
        group,
        "direct_mandatory_flag",
        default: true,
        "Have the broker return a reply that no queue takes, and try again."
    )
    static let missingConsumerRetryTimeout = OptionKey<Duration>.seconds(
        group,
        "kombu_missing_consumer_retry_timeout",
        default: 60,
        aliases: ["kombu_reconnect_timeout"],
        "How long to try again to deliver a reply whose queue is missing."
    )
    static let heartbeatTimeoutThreshold = OptionKey<Int>.integer(
        group,
        "heartbeat_timeout_threshold",
        default: 60,
        in: 0...65535,
        "Seconds without a sign of life after which the connection counts as lost; 0: no heartbeats."
    )
    static let heartbeatRate = OptionKey<Int>.integer(
        group,
        "heartbeat_rate",
        default: 3,
        in: 1...100,
        traits: .noEffect,
        "How often heartbeats are checked within that time."
    )
    static let heartbeatInPthread = OptionKey<Bool>.boolean(
        group,
        "heartbeat_in_pthread",
        default: false,
        traits: .noEffect,
        "Heartbeats always have a thread of their own here."
    )
    static let kombuReconnectDelay = OptionKey<Double>.number(
        group,
        "kombu_reconnect_delay",
        default: 1.0,
        in: 0...4.5,
        "Longest pause in seconds between attempts to open a lost connection again; the first come at once."
    )
    static let kombuReconnectSplay = OptionKey<Double>.number(
        group,
        "kombu_reconnect_splay",
        default: 0.0,
        in: 0...3600,
        "Seconds of random delay on top of kombu_reconnect_delay."
    )
    static let kombuFailoverStrategy = OptionKey<FailoverStrategy>.choice(
        group,
        "kombu_failover_strategy",
        default: .roundRobin,
        "Order in which the hosts of the transport URL are tried."
    )
    static let kombuCompression = OptionKey<String?>.optional(
        group,
        "kombu_compression",
        traits: .noEffect,
        "Compression of what is sent; nothing is compressed here."
    )
    static let rabbitRetryInterval = OptionKey<Int>.integer(
        group,
        "rabbit_retry_interval",
        default: 1,
        in: 1...86400,
        traits: .noEffect,
        "Seconds before the second round of connection attempts; kombu_reconnect_delay bounds the pauses here."
    )
    static let rabbitRetryBackoff = OptionKey<Int>.integer(
        group,
        "rabbit_retry_backoff",
        default: 2,
        in: 0...86400,
        traits: .noEffect,
        "Seconds by which the pause between rounds grows."
    )
    static let rabbitIntervalMax = OptionKey<Int>.integer(
        group,
        "rabbit_interval_max",
        default: 30,
        in: 1...86400,
        traits: .noEffect,
        "Longest pause between rounds, in seconds."
    )
    static let rabbitLoginMethod = OptionKey<LoginMethod>.choice(
        group,
        "rabbit_login_method",
        default: .amqplain,
        "How we prove who we are; AMQPLAIN is carried out as PLAIN, EXTERNAL uses the client certificate."
    )
    static let rpcConnPoolSize = OptionKey<Int>.integer(
        group,
        "rpc_conn_pool_size",
        default: 30,
        in: 1...Int.max,
        traits: .noEffect,
        "Size of the pool of connections; there is no pool here."
    )
    static let connPoolMinSize = OptionKey<Int>.integer(
        group,
        "conn_pool_min_size",
        default: 2,
        traits: .noEffect,
        "Connections kept in the pool."
    )
    static let connPoolTTL = OptionKey<Int>.integer(
        group,
        "conn_pool_ttl",
        default: 1200,
        traits: .noEffect,
        "Seconds an unused connection stays in the pool."
    )

    static let all: [OptionDefinition] =
        [
            amqpDurableQueues.definition, amqpAutoDelete.definition, rabbitQuorumQueue.definition,
            rabbitTransientQuorumQueue.definition, rabbitQuorumDeliveryLimit.definition,
            rabbitQuorumMaxMemoryLength.definition, rabbitQuorumMaxMemoryBytes.definition,
            rabbitStreamFanout.definition, rabbitHAQueues.definition, rabbitTransientQueuesTTL.definition,
            useQueueManager.definition, hostname.definition, processname.definition,
            enableCancelOnFailover.definition, rabbitQosPrefetchCount.definition, directMandatoryFlag.definition,
            missingConsumerRetryTimeout.definition, heartbeatTimeoutThreshold.definition, heartbeatRate.definition,
            heartbeatInPthread.definition, kombuReconnectDelay.definition, kombuReconnectSplay.definition,
            kombuFailoverStrategy.definition, kombuCompression.definition, rabbitRetryInterval.definition,
            rabbitRetryBackoff.definition, rabbitIntervalMax.definition, rabbitLoginMethod.definition,
            rpcConnPoolSize.definition, connPoolMinSize.definition, connPoolTTL.definition,
        ] + TLSConfigurationOptions.all
}
