import HTTPClient
import Logging
import OpenStackAPI
import Support
import Synchronization

import struct Configuration.CloudAccess
import struct Configuration.CloudSettings

/// The services of a cloud that the hosts of a process use; those with the same credentials share their tokens.
struct CloudParts: Sendable {
    let placement: PlacementClient?
    let images: ImageClient?
    let network: NetworkClient?

    /// - Throws: ``OpenStackError`` when no client can be made.
    init(_ settings: CloudSettings, logger: Logger) throws(OpenStackError) {
        var sessions: [CloudCredentials: CloudSession] = [:]
        func service(_ name: String, _ access: CloudAccess?) throws(OpenStackError) -> CloudService? {
            guard let access else { return nil }
            let settings = CloudServiceSettings(access)
            var session: CloudSession?
            if let credentials = settings.credentials {
                session = sessions[credentials]
                if session == nil { session = try CloudSession(credentials, settings: settings, logger: logger) }
                sessions[credentials] = session
            }
            return try CloudService(name, settings, session: session, logger: logger)
        }
        images = try service("glance", settings.images).map { service throws(OpenStackError) in
            try ImageClient(service, logger: logger)
        }
        network = try service("neutron", settings.network).map { NetworkClient($0, logger: logger) }
        placement = try service("placement", settings.placement).map { PlacementClient($0, logger: logger) }
    }
}

extension CloudServiceSettings {
    private static let longestPauseFactor = 20

    init(_ access: CloudAccess) {
        self.init(access.serviceType, credentials: access.credentials.map(CloudCredentials.init))
        serviceName = access.serviceName
        region = access.region
        interfaces = access.interfaces
        endpointOverride = access.endpointOverride
        connectRetries = access.connectRetries
        statusRetries = access.statusRetries
        retryDelay = access.retryDelay
        longestDelay = access.retryDelay * Self.longestPauseFactor
        deadlines = HTTPDeadlines(
            connect: min(deadlines.connect, access.timeout),
            stall: min(deadlines.stall, access.timeout),
            total: access.timeout
        )
        http = HTTPSettings(
            caFile: access.caFile,
            certificateFile: access.certificateFile,
            keyFile: access.keyFile,
            verifiesPeers: !access.insecure
        )
    }
}

extension CloudCredentials {
    init(_ access: CloudAccess.Credentials) {
        if let credential = access.applicationCredential {
            self.init(
                authURL: access.authURL,
                identity: .applicationCredential(id: credential.id, secret: credential.secret),
                project: nil
            )
            return
        }
        let user = Named(
            id: access.userID,
            name: access.username,
            domainID: access.userDomainID,
            domainName: access.userDomainName
        )
        let hasProject = access.projectID != nil || access.projectName != nil
        let project = Named(
            id: access.projectID,
            name: access.projectName,
            domainID: access.projectDomainID,
            domainName: access.projectDomainName
        )
        self.init(
            authURL: access.authURL,
            identity: .password(user: user, password: access.password),
            project: hasProject ? project : nil
        )
    }
}
