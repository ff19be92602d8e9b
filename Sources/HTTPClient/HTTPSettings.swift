/// What all exchanges of one ``HTTPClient`` have in common.
package struct HTTPSettings: Sendable, Hashable {
    /// Certificates of the authorities to trust, PEM; `nil` = those of the system.
    package var caFile: String?
    /// Our certificate for servers that ask for one, PEM.
    package var certificateFile: String?
    /// Its key, PEM; `nil` = in the same file.
    package var keyFile: String?
    /// Whether certificate and host name of servers are checked. Without it anyone on the way can read and change all.
    package var verifiesPeers: Bool
    /// The proxy to use; `nil` = none, whatever the environment says.
    package var proxy: String?
    /// Connections at once to one host, and in all; further exchanges wait in line.
    package var maximumConnectionsPerHost: Int
    package var maximumConnections: Int
    package var userAgent: String

    package init(
        caFile: String? = nil,
        certificateFile: String? = nil,
        keyFile: String? = nil,
        verifiesPeers: Bool = true,
        proxy: String? = nil,
        maximumConnectionsPerHost: Int = 8,
        maximumConnections: Int = 32,
        userAgent: String = "vmops"
    ) {
        self.caFile = caFile
        self.certificateFile = certificateFile
        self.keyFile = keyFile
        self.verifiesPeers = verifiesPeers
        self.proxy = proxy
        self.maximumConnectionsPerHost = maximumConnectionsPerHost
        self.maximumConnections = maximumConnections
        self.userAgent = userAgent
    }
}
