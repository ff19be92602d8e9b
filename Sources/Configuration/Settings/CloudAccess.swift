package import Support

/// How one service of a cloud is found, and who asks it.
package struct CloudAccess: Sendable, Hashable {
    static let authTypes = ["password", "v3password", "v3applicationcredential", "none"]

    /// Who asks; a domain goes with a name.
    package struct Credentials: Sendable, Hashable {
        package var authURL: String
        package var username: String?
        package var userID: String?
        package var password: Redacted<String>
        package var userDomainName: String?
        package var userDomainID: String?
        package var projectName: String?
        package var projectID: String?
        package var projectDomainName: String?
        package var projectDomainID: String?
        /// In place of user and password.
        package var applicationCredential: (id: String, secret: Redacted<String>)? {
            applicationCredentialID.map { ($0, password) }
        }
        var applicationCredentialID: String?
    }

    /// `nil`: no token is sent.
    package var credentials: Credentials?
    package var serviceType: String
    package var serviceName: String?
    package var region: String?
    package var interfaces: [String]
    package var endpointOverride: String?
    package var connectRetries: Int
    package var statusRetries: Int
    package var retryDelay: Duration
    package var timeout: Duration
    package var caFile: String?
    package var certificateFile: String?
    package var keyFile: String?
    package var insecure: Bool

    /// `nil` when nothing says who asks, in the service's own group or in those that stand in for it.
    init?(_ options: CloudOptions, _ reader: SettingsReader) {
        guard let keys = options.service else { return nil }
        let override = reader[keys.endpointOverride]
        var source: CloudOptions?
        if reader[options.authType] != "none" {
            source = Self.source(options, reader)
            credentials = source.flatMap { Credentials($0, reader) }
        }
        guard credentials != nil || (override != nil && reader[options.authType] == "none") else { return nil }
        serviceType = reader[keys.type]
        serviceName = reader[keys.name]
        region = reader[keys.region]
        interfaces = reader[keys.interfaces]
        endpointOverride = override
        connectRetries = reader[keys.connectRetries]
        statusRetries = reader[keys.statusRetries]
        retryDelay = reader[keys.retryDelay]
        timeout = reader[keys.timeout]
        // What is said where the user stands is meant for the identity service, and mostly for all of the cloud.
        let holders = [options] + (source.map { [$0] } ?? [])
        caFile = holders.lazy.compactMap { reader[$0.caFile] }.first
        certificateFile = holders.lazy.compactMap { reader[$0.certificateFile] }.first
        keyFile = holders.lazy.compactMap { reader[$0.keyFile] }.first
        insecure = holders.contains { reader[$0.insecure] }
    }

    /// The group that says who asks: the service's own, the one it names, or those that a `nova.conf` has for the purpose.
    private static func source(_ options: CloudOptions, _ reader: SettingsReader) -> CloudOptions? {
        if let name = reader[options.authSection] { return CloudOptions.groups.first { $0.group == name } }
        return [options, .serviceUser, .identity].first { Credentials($0, reader) != nil }
    }
}

extension CloudAccess.Credentials {
    /// `nil` when the group does not say enough.
    init?(_ options: CloudOptions, _ reader: SettingsReader) {
        guard let authURL = reader[options.authURL] else { return nil }
        self.authURL = authURL
        if let id = reader[options.applicationCredentialID] {
            guard let secret = reader[options.applicationCredentialSecret] else { return nil }
            applicationCredentialID = id
            password = secret
            return
        }
        guard let password = reader[options.password] else { return nil }
        self.password = password
        username = reader[options.username]
        userID = reader[options.userID]
        if username == nil, userID == nil { return nil }
        userDomainName = reader[options.userDomainName]
        userDomainID = reader[options.userDomainID]
        projectName = reader[options.projectName]
        projectID = reader[options.projectID]
        projectDomainName = reader[options.projectDomainName]
        projectDomainID = reader[options.projectDomainID]
    }
}

/// The services that hosts use beside the conductor; `nil`: done without.
package struct CloudSettings: Sendable, Hashable {
    package var placement: CloudAccess?
    package var network: CloudAccess?
    package var images: CloudAccess?

    /// Nothing without a conductor: a `nova.conf` alone changes nothing.
    init(_ reader: SettingsReader) {
        guard reader[NovaOptions.conductor] == .rpc else { return }
        placement = CloudAccess(.placement, reader)
        network = CloudAccess(.neutron, reader)
        images = CloudAccess(.glance, reader)
    }
}
