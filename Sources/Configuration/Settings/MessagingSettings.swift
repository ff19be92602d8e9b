package import Support

/// How the bus is reached, what it looks like, and the names we have on it (oslo.messaging wire, section 14).
///
/// Options that are accepted without effect are in the registry only.
package struct MessagingSettings: Sendable, Hashable {
    /// Never absent or of another scheme in settings that were loaded without errors.
    package var transportURL: Redacted<String>
    package var controlExchange: String
    package var computeTopic: String
    /// `nil` when no second topic is served.
    package var computeAltTopic: String?
    package var rpcResponseTimeout: Duration
    package var rpcPingEnabled: Bool
    package var jsonParser: JSONParserKind

    package var durableQueues: Bool
    package var autoDelete: Bool
    package var quorumQueue: Bool
    package var transientQuorumQueue: Bool
    /// 0 = the broker's default; the two below alike.
    package var quorumDeliveryLimit: Int
    package var quorumMaxMemoryLength: Int
    package var quorumMaxMemoryBytes: Int
    package var streamFanout: Bool
    package var haQueues: Bool
    /// Zero = transient queues do not expire.
    package var transientQueuesTTL: Duration
    package var useQueueManager: Bool
    package var hostname: String
    package var processname: String
    package var cancelOnFailover: Bool
    package var directMandatory: Bool
    package var missingConsumerRetryTimeout: Duration

    /// 0 = no heartbeats.
    package var heartbeatSeconds: Int
    /// Seconds before a lost connection is opened again, and the random part on top.
    package var reconnectDelay: Double
    package var reconnectSplay: Double
    package var failoverStrategy: FailoverStrategy
    package var loginMethod: LoginMethod
    package var tls: TLSSettings

    init(_ reader: SettingsReader) {
        transportURL = reader[DefaultOptions.transportURL] ?? Redacted("rabbit://")
        controlExchange = reader[DefaultOptions.controlExchange]
        computeTopic = reader[DefaultOptions.computeTopic]
        let alternative = reader[DefaultOptions.computeAltTopic]
        computeAltTopic = alternative.isEmpty ? nil : alternative
        rpcResponseTimeout = reader[DefaultOptions.rpcResponseTimeout]
        rpcPingEnabled = reader[DefaultOptions.rpcPingEnabled]
        jsonParser = reader[DefaultOptions.jsonParser]
        durableQueues = reader[MessagingOptions.amqpDurableQueues]
        autoDelete = reader[MessagingOptions.amqpAutoDelete]
        quorumQueue = reader[MessagingOptions.rabbitQuorumQueue]
        transientQuorumQueue = reader[MessagingOptions.rabbitTransientQuorumQueue]
        quorumDeliveryLimit = reader[MessagingOptions.rabbitQuorumDeliveryLimit]
        quorumMaxMemoryLength = reader[MessagingOptions.rabbitQuorumMaxMemoryLength]
        quorumMaxMemoryBytes = reader[MessagingOptions.rabbitQuorumMaxMemoryBytes]
        streamFanout = reader[MessagingOptions.rabbitStreamFanout]
        haQueues = reader[MessagingOptions.rabbitHAQueues]
        transientQueuesTTL = reader[MessagingOptions.rabbitTransientQueuesTTL]
        useQueueManager = reader[MessagingOptions.useQueueManager]
        hostname = reader[MessagingOptions.hostname] ?? reader.table.machineName
        processname = reader[MessagingOptions.processname]
        cancelOnFailover = reader[MessagingOptions.enableCancelOnFailover]
        directMandatory = reader[MessagingOptions.directMandatoryFlag]
        missingConsumerRetryTimeout = reader[MessagingOptions.missingConsumerRetryTimeout]
        heartbeatSeconds = reader[MessagingOptions.heartbeatTimeoutThreshold]
        reconnectDelay = reader[MessagingOptions.kombuReconnectDelay]
        reconnectSplay = reader[MessagingOptions.kombuReconnectSplay]
        failoverStrategy = reader[MessagingOptions.kombuFailoverStrategy]
        loginMethod = reader[MessagingOptions.rabbitLoginMethod]
        tls = TLSSettings(reader)
    }
}

/// Protection of the connection to the broker (oslo.messaging wire, section 13).
package struct TLSSettings: Sendable, Hashable {
    package var isEnabled: Bool
    package var caFile: String?
    package var certificateFile: String?
    package var keyFile: String?
    package var verifyHostName: Bool

    init(_ reader: SettingsReader) {
        isEnabled = reader[TLSConfigurationOptions.ssl]
        caFile = reader[TLSConfigurationOptions.caFile]
        certificateFile = reader[TLSConfigurationOptions.certificateFile]
        keyFile = reader[TLSConfigurationOptions.keyFile]
        verifyHostName = reader[TLSConfigurationOptions.enforceHostNameVerification]
    }
}

/// What is told to listeners beside the answers (oslo.messaging wire, section 12).
package struct NotificationSettings: Sendable, Hashable {
    /// Empty = no notifications.
    package var drivers: [String]
    package var topics: [String]
    /// `nil` = the broker for requests.
    package var transportURL: Redacted<String>?
    /// Further attempts; -1 = until it is sent.
    package var retry: Int

    init(_ reader: SettingsReader) {
        drivers = reader[NotificationOptions.driver]
        topics = reader[NotificationOptions.topics]
        transportURL = reader[NotificationOptions.transportURL]
        retry = reader[NotificationOptions.retry]
    }
}
