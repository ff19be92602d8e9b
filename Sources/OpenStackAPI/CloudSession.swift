import HTTPClient
import JSONCodec
package import Logging
import Support
import Synchronization

/// A user's tokens: asked for when needed, kept until shortly before they expire, and shared by the services that have
/// the same credentials (Nova's compute RPC, chapter 5).
///
/// Any number of tasks may ask at once; one of them at a time speaks to keystone, and the others take what it got.
package final class CloudSession: Sendable {
    private struct State {
        var token: CloudToken?
        var lastNumber: UInt64 = 0
    }

    /// Tokens are renewed when so much of their life is left, or a tenth of it if that is less.
    private static let margin = Duration.seconds(120)
    /// For a token without a readable end.
    private static let unknownLife = Duration.seconds(300)

    private let credentials: CloudCredentials
    private let exchange: CloudExchange
    private let lane = SerialLane()
    private let state = Mutex(State())
    /// Seconds since 1970.
    private let now: @Sendable () -> Int64

    /// - Parameters:
    ///   - settings: how keystone is asked: retries, deadlines and TLS of the service that the tokens are for.
    ///   - now: seconds since 1970; tests have another clock.
    /// - Throws: ``OpenStackError`` when no client can be made.
    package init(
        _ credentials: CloudCredentials,
        settings: CloudServiceSettings,
        now: @escaping @Sendable () -> Int64 = { CloudTime.now },
        logger: Logger
    ) throws(OpenStackError) {
        self.credentials = credentials
        self.now = now
        exchange = try CloudExchange("keystone", settings, logger: logger)
    }

    /// A token that is good for a while.
    func token() async throws(OpenStackError) -> CloudToken {
        if let token = fresh { return token }
        do {
            return try await lane.run {
                if let token = fresh { return token }
                return try await ask()
            }
        } catch let error as OpenStackError {
            throw error
        } catch {
            throw OpenStackError(.cancelled, "the request was cancelled")
        }
    }

    /// Forgets a token that a service does not take, unless it was replaced meanwhile.
    func discard(_ token: CloudToken) {
        state.withLock { if $0.token?.number == token.number { $0.token = nil } }
    }

    private var fresh: CloudToken? {
        state.withLock { state in
            guard let token = state.token, ContinuousClock.now < token.renewal else { return nil }
            return token
        }
    }

    private func ask() async throws(OpenStackError) -> CloudToken {
        let url: HTTPURL
        let body: [UInt8]
        do {
            url = try HTTPURL(credentials.tokensURL)
            body = try JSONWriter.bytes(of: credentials.request)
        } catch {
            throw OpenStackError(.failed, "auth_url: \(error)")
        }
        let headers = [HTTPHeader("Content-Type", "application/json"), HTTPHeader("Accept", "application/json")]
        let response = try await exchange.send("POST", url, headers: headers, body: body, isRepeatable: true)
        guard response.status == 201 || response.status == 200, let text = response.head["X-Subject-Token"],
            !text.isEmpty
        else {
            throw exchange.failure(response, "POST", url.path)
        }
        let document = (try? JSONReader.read(response.body))?["token"]
        let life = document?["expires_at"]?.stringValue.flatMap(CloudTime.seconds).map { Duration.seconds($0 - now()) }
        let known = max(life ?? Self.unknownLife, .zero)
        let token = state.withLock { state in
            state.lastNumber += 1
            let token = CloudToken(
                value: Redacted(text),
                renewal: .now + max(known - min(Self.margin, known / 10), .seconds(1)),
                catalog: ServiceCatalog(document?["catalog"]),
                number: state.lastNumber
            )
            state.token = token
            return token
        }
        exchange.logger.debug("token obtained", metadata: ["life": "\(known)"])
        return token
    }
}
