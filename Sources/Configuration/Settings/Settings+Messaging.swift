package import AMQPModel
package import OsloMessaging
import Support

extension Settings {
    /// How to connect to the broker for requests. The hosts of a cluster are shuffled by each call, as oslo.messaging
    /// does it for each connection.
    ///
    /// - Parameter name: what the broker's management tools show.
    /// - Throws: an error that never shows the URL; not for settings that were loaded without errors.
    package func connectionOptions(name: String) throws(TransportURLError) -> ConnectionOptions {
        try messaging.connectionOptions(to: messaging.transportURL, name: name)
    }

    /// The same for the broker for notifications, which is the one for requests unless another is set.
    package func notificationConnectionOptions(name: String) throws(TransportURLError) -> ConnectionOptions {
        try messaging.connectionOptions(to: notifications.transportURL ?? messaging.transportURL, name: name)
    }

    /// What is declared and with which arguments; the prefetch is that of ``LimitSettings/prefetch``.
    package var topologyOptions: TopologyOptions {
        var options = TopologyOptions()
        options.durableQueues = messaging.durableQueues
        options.autoDelete = messaging.autoDelete
        options.quorumQueue = messaging.quorumQueue
        options.transientQuorumQueue = messaging.transientQuorumQueue
        options.quorumDeliveryLimit = messaging.quorumDeliveryLimit
        options.quorumMaxMemoryLength = messaging.quorumMaxMemoryLength
        options.quorumMaxMemoryBytes = messaging.quorumMaxMemoryBytes
        options.transientQueuesTTL = Int(messaging.transientQueuesTTL.components.seconds)
        options.haQueues = messaging.haQueues
        options.streamFanout = messaging.streamFanout
        options.cancelOnFailover = messaging.cancelOnFailover
        options.prefetchCount = limits.prefetch
        return options
    }
}

extension MessagingSettings {
    fileprivate func connectionOptions(
        to text: Redacted<String>,
        name: String
    ) throws(TransportURLError) -> ConnectionOptions {
        let url = try TransportURL(text.secret)
        let tlsOptions = TLSOptions(
            caFile: tls.caFile,
            certificateFile: tls.certificateFile,
            keyFile: tls.keyFile,
            verifyHostName: tls.verifyHostName
        )
        let initial = Duration.milliseconds(50)
        let longest = max(initial, .seconds(reconnectDelay + reconnectSplay))
        return ConnectionOptions(
            addresses: url.addresses.shuffled(),
            virtualHost: url.virtualHost,
            tls: tls.isEnabled ? tlsOptions : nil,
            heartbeatSeconds: heartbeatSeconds,
            connectionName: name,
            reconnect: Backoff(initial: initial, maximum: longest),
            external: loginMethod == .external
        )
    }
}
