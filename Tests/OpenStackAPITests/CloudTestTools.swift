import HTTPClient
import Logging
import OpenStackAPI
import Support
import TestSupport

let quiet = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }

extension CloudServer {
    func settings(_ type: String, password: String = "se/cr et") -> CloudServiceSettings {
        let user = CloudCredentials.Named(name: "nova", domainName: "Default")
        var settings = CloudServiceSettings(
            type,
            credentials: CloudCredentials(
                authURL: authURL,
                identity: .password(user: user, password: Redacted(password)),
                project: CloudCredentials.Named(name: "service", domainName: "Default")
            )
        )
        settings.region = "RegionOne"
        settings.retryDelay = .milliseconds(5)
        settings.deadlines = HTTPDeadlines(connect: .seconds(20), stall: .seconds(20), total: .seconds(50))
        return settings
    }

    /// A service as a host has it, with tokens of its own.
    func service(
        _ type: String,
        _ change: (inout CloudServiceSettings) -> Void = { _ in }
    ) throws -> CloudService {
        var settings = settings(type)
        change(&settings)
        let session = try settings.credentials.map { try CloudSession($0, settings: settings, logger: quiet) }
        return try CloudService(type, settings, session: session, logger: quiet)
    }
}

func failure(_ body: () async throws -> Void) async -> OpenStackError? {
    do {
        try await body()
        return nil
    } catch {
        return error as? OpenStackError
    }
}
