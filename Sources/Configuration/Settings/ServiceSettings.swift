/// What is logged, how and where.
package struct LogSettings: Sendable, Hashable {
    package var level: LogLevel
    package var format: LogFormat
    /// `nil` = standard error.
    package var file: String?

    init(_ reader: SettingsReader) {
        let level = reader[DefaultOptions.logLevel]
        let isQuieter = level != .trace && level != .debug
        self.level = reader[DefaultOptions.debug] && isQuieter ? .debug : level
        format = reader[DefaultOptions.logFormat]
        file = reader[DefaultOptions.logFile]
    }
}

/// Health, metrics and status over HTTP.
package struct AdminSettings: Sendable, Hashable {
    package var isEnabled: Bool
    package var listen: ListenAddress
    package var maxConnections: Int
    /// A connection that is silent this long is closed.
    package var timeout: Duration

    init(_ reader: SettingsReader) {
        isEnabled = reader[AdminOptions.enabled]
        let text = reader[AdminOptions.listen]
        listen = (try? ListenAddress(parsing: text)) ?? .unix(path: "/var/lib/vmops/admin.sock")
        maxConnections = reader[AdminOptions.maxConnections]
        timeout = reader[AdminOptions.timeout]
    }
}

/// The durable record of accepted requests.
package struct JournalSettings: Sendable, Hashable {
    package var batchRequests: Int
    /// Zero = a commit takes what came during the one before and does not wait.
    package var batchDelay: Duration
    package var retentionHours: Int
    package var maxBytes: Int
    package var checkpointBytes: Int

    init(_ reader: SettingsReader) {
        batchRequests = reader[JournalOptions.batchRequests]
        batchDelay = reader[JournalOptions.batchDelay]
        retentionHours = reader[JournalOptions.retentionHours]
        maxBytes = reader[JournalOptions.maxBytes]
        checkpointBytes = reader[JournalOptions.checkpointBytes]
    }
}

/// What bounds the work taken on.
package struct LimitSettings: Sendable, Hashable {
    package var maxInflight: Int
    package var maxQueue: Int
    package var maxMessageBytes: Int
    /// Unacknowledged messages per consumer: `rabbit_qos_prefetch_count`, or `[limits] prefetch` when that is 0.
    package var prefetch: Int
    /// Empty = any.
    package var allowedExchanges: [String]
    /// Empty = all.
    package var allowedMethods: [String]
    /// What names of reply queues begin with; empty = anything.
    package var allowedReplyQueues: [String]
    /// Where volumes that are files or devices of this machine may lie; empty = anywhere.
    package var volumePaths: [String]
    /// Whether a crash may leave a core file.
    package var coreDumps: Bool
    /// How long SIGTERM waits for running operations.
    package var drainTimeout: Duration
    /// How long SIGUSR2 does.
    package var upgradeTimeout: Duration

    init(_ reader: SettingsReader) {
        maxInflight = reader[LimitOptions.maxInflight]
        maxQueue = reader[LimitOptions.maxQueue]
        maxMessageBytes = reader[LimitOptions.maxMessageBytes]
        let asked = reader[MessagingOptions.rabbitQosPrefetchCount]
        prefetch = asked > 0 ? asked : reader[LimitOptions.prefetch]
        allowedExchanges = reader[LimitOptions.allowedExchanges]
        allowedMethods = reader[LimitOptions.allowedMethods]
        allowedReplyQueues = reader[LimitOptions.allowedReplyQueues]
        volumePaths = reader[LimitOptions.volumePaths].map { path in
            path.count > 1 && path.hasSuffix("/") ? String(path.dropLast()) : path
        }
        coreDumps = reader[LimitOptions.coreDumps]
        drainTimeout = reader[LimitOptions.drainTimeout]
        upgradeTimeout = reader[LimitOptions.upgradeTimeout]
    }
}
