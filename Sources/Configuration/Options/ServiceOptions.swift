/// `[admin]`: health, metrics and status over HTTP.
package enum AdminOptions {
    static let group = "admin"

    static let enabled = OptionKey<Bool>.boolean(group, "enabled", default: true, "Serve health, metrics and status.")
    static let listen = OptionKey<String>.string(
        group,
        "listen",
        default: "unix:$state_path/admin.sock",
        kind: .listenAddress,
        "Where: a unix socket, or host:port; port 0 takes a free one.",
        check: ValueChecks.listenAddress
    )
    static let allowRemote = OptionKey<Bool>.boolean(
        group,
        "allow_remote",
        default: false,
        "Allow an address other machines can reach; there is no authentication."
    )
    static let maxConnections = OptionKey<Int>.integer(
        group,
        "max_connections",
        default: 32,
        in: 1...1024,
        "Connections served at once; more are refused."
    )
    static let timeout = OptionKey<Duration>.seconds(
        group,
        "timeout",
        default: 10,
        in: 1...3600,
        "A connection that is silent this long is closed."
    )

    static let all: [OptionDefinition] = [
        enabled.definition, listen.definition, allowRemote.definition, maxConnections.definition, timeout.definition,
    ]
}

/// `[journal]`: the durable record of accepted requests.
package enum JournalOptions {
    static let group = "journal"

    static let batchRequests = OptionKey<Int>.integer(
        group,
        "batch_requests",
        default: 256,
        in: 1...65536,
        "Most requests committed together."
    )
    static let batchDelay = OptionKey<Duration>.milliseconds(
        group,
        "batch_delay_ms",
        default: 0,
        in: 0...1000,
        "How long a commit waits for further requests; 0: it takes those that came during the commit before."
    )
    static let retentionHours = OptionKey<Int>.integer(
        group,
        "retention_hours",
        default: 24,
        in: 24...8760,
        "How long the id of a finished request is remembered."
    )
    static let maxBytes = OptionKey<Int>.integer(
        group,
        "max_bytes",
        default: 1 << 30,
        in: 1 << 20...1 << 44,
        "Size of a host's journal beyond which no new mutating request is accepted until old ones have aged."
    )
    static let checkpointBytes = OptionKey<Int>.integer(
        group,
        "checkpoint_bytes",
        default: 4 << 20,
        in: 1 << 16...1 << 32,
        "Size of the write-ahead log at which it is folded into the database."
    )

    static let all: [OptionDefinition] = [
        batchRequests.definition, batchDelay.definition, retentionHours.definition, maxBytes.definition,
        checkpointBytes.definition,
    ]
}

/// `[limits]`: what bounds the work taken on.
package enum LimitOptions {
    static let group = "limits"

    static let maxInflight = OptionKey<Int>.integer(
        group,
        "max_inflight",
        default: 64,
        in: 1...65536,
        traits: .reloadable,
        defaultText: "$executor_thread_pool_size",
        "Operations that run at once over all hosts; more wait. "
            + "What hosts ask each other in migrations has as many places again."
    )
    static let maxQueue = OptionKey<Int>.integer(
        group,
        "max_queue",
        default: 64,
        in: 1...65536,
        traits: .reloadable,
        "Operations that may wait for one instance; more are refused."
    )
    static let maxMessageBytes = OptionKey<Int>.integer(
        group,
        "max_message_bytes",
        default: 16 << 20,
        in: 4096...1 << 30,
        "Largest message that is read; a larger one is rejected."
    )
    static let prefetch = OptionKey<Int>.integer(
        group,
        "prefetch",
        default: 128,
        in: 1...65535,
        "Unacknowledged messages per consumer when rabbit_qos_prefetch_count is 0."
    )
    static let allowedExchanges = OptionKey<[String]>.list(
        group,
        "allowed_exchanges",
        sampleDefault: "<any>",
        "Exchanges that control_exchange may be set to; empty: any."
    )
    static let allowedMethods = OptionKey<[String]>.list(
        group,
        "allowed_methods",
        traits: .reloadable,
        sampleDefault: "<all>",
        "Methods that may be called; empty: all."
    )
    static let allowedReplyQueues = OptionKey<[String]>.list(
        group,
        "allowed_reply_queues",
        default: ["reply_"],
        "What the names of reply queues must begin with; a request that wants its reply elsewhere is rejected."
    )
    static let volumePaths = OptionKey<[String]>.list(
        group,
        "volume_paths",
        default: ["$state_path/volumes", "/dev/disk", "/dev/mapper"],
        traits: .reloadable,
        "Directories below which a volume that is a file or device of this machine may lie; empty: anywhere."
    )
    static let coreDumps = OptionKey<Bool>.boolean(
        group,
        "core_dumps",
        default: false,
        "Leave a core file after a crash and let the same user's debuggers attach: it has all secrets in memory."
    )
    static let upgradeTimeout = OptionKey<Duration>.seconds(
        group,
        "upgrade_timeout",
        default: 10,
        traits: .reloadable,
        "How long an upgrade (SIGUSR2) waits for running operations before the new program takes them up."
    )
    static let drainTimeout = OptionKey<Duration>.seconds(
        group,
        "drain_timeout",
        default: 30,
        traits: .reloadable,
        "How long SIGTERM waits for running operations before it hands them to the next start."
    )

    static let all: [OptionDefinition] = [
        maxInflight.definition, maxQueue.definition, maxMessageBytes.definition, prefetch.definition,
        allowedExchanges.definition, allowedMethods.definition, allowedReplyQueues.definition,
        volumePaths.definition, coreDumps.definition, drainTimeout.definition, upgradeTimeout.definition,
    ]
}
