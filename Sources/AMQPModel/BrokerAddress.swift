package import Support

/// Where one broker node is and who we are there.
package struct BrokerAddress: Sendable, Hashable, CustomStringConvertible {
    /// Host name or address; IPv6 without brackets.
    package var host: String
    package var port: Int
    package var user: String
    package var password: Redacted<String>

    package init(host: String, port: Int, user: String, password: Redacted<String>) {
        self.host = host
        self.port = port
        self.user = user
        self.password = password
    }

    /// Host and port, without credentials.
    package var description: String { host.contains(":") ? "[\(host)]:\(port)" : "\(host):\(port)" }
}

/// How a connection is protected (oslo.messaging wire, section 13).
package struct TLSOptions: Sendable, Hashable {
    /// PEM file with the authorities to trust; `nil` = the system's store, without a check of the host name.
    package var caFile: String?
    package var certificateFile: String?
    package var keyFile: String?
    package var verifyHostName: Bool

    package init(
        caFile: String? = nil,
        certificateFile: String? = nil,
        keyFile: String? = nil,
        verifyHostName: Bool = true
    ) {
        self.caFile = caFile
        self.certificateFile = certificateFile
        self.keyFile = keyFile
        self.verifyHostName = verifyHostName
    }
}

/// Everything needed to open connections to a broker or cluster.
package struct ConnectionOptions: Sendable {
    /// Tried in turn; never empty.
    package var addresses: [BrokerAddress]
    package var virtualHost: String
    package var tls: TLSOptions?
    /// AMQP heartbeat in seconds; 0 = none.
    package var heartbeatSeconds: Int
    /// Shown by the broker's management tools: `<program>:<pid>:<uuid>`.
    package var connectionName: String
    /// Pauses between rounds of connection attempts.
    package var reconnect: Backoff
    /// Limit for connecting to one address, handshake included.
    package var connectTimeout: Duration
    /// `EXTERNAL` instead of `PLAIN`, for client certificates.
    package var external: Bool

    package init(
        addresses: [BrokerAddress],
        virtualHost: String = "/",
        tls: TLSOptions? = nil,
        heartbeatSeconds: Int = 60,
        connectionName: String,
        reconnect: Backoff = Backoff(initial: .milliseconds(50), maximum: .seconds(1)),
        connectTimeout: Duration = .seconds(5),
        external: Bool = false
    ) {
        self.addresses = addresses
        self.virtualHost = virtualHost
        self.tls = tls
        self.heartbeatSeconds = heartbeatSeconds
        self.connectionName = connectionName
        self.reconnect = reconnect
        self.connectTimeout = connectTimeout
        self.external = external
    }
}
