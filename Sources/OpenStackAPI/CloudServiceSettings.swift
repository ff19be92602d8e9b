package import HTTPClient

/// How one service of a cloud is found and asked; the names are those of keystoneauth's options.
package struct CloudServiceSettings: Sendable, Hashable {
    /// `nil`: no token is sent, which only services without authentication accept; an override is needed then.
    package var credentials: CloudCredentials?
    /// In the catalogue: `placement`, `network`, `image`.
    package var serviceType: String
    package var serviceName: String?
    package var region: String?
    /// `internal`, `public`, `admin`; the first that the catalogue has is taken.
    package var interfaces = ["internal", "public"]
    /// The endpoint, whatever the catalogue says.
    package var endpointOverride: String?
    /// Tries after the first when nobody answers, and pause before the first of them; pauses grow.
    package var connectRetries = 4
    /// Tries after the first when the service answers that it cannot now.
    package var statusRetries = 4
    package var retryDelay: Duration = .milliseconds(500)
    package var longestDelay: Duration = .seconds(10)
    /// For one exchange.
    package var deadlines = HTTPDeadlines(connect: .seconds(10), stall: .seconds(30), total: .seconds(60))
    /// TLS, and connections at once.
    package var http = HTTPSettings()

    package init(_ serviceType: String, credentials: CloudCredentials?) {
        self.serviceType = serviceType
        self.credentials = credentials
    }
}
