package import HTTPClient
import JSONCodec
package import Logging
package import Support

/// One service of a cloud, asked with a user's token: its endpoint from the catalogue, requests in JSON, a new token when
/// the old one is not taken (Nova's compute RPC, chapter 5).
///
/// Calls may come from any task in parallel; a cancelled task gets `cancelled`.
package struct CloudService: Sendable {
    private static let tokenHeader = "X-Auth-Token"

    let exchange: CloudExchange
    private let session: CloudSession?

    /// - Parameters:
    ///   - name: for errors and logs.
    ///   - session: where the tokens come from; `nil`: none is sent.
    package init(
        _ name: String,
        _ settings: CloudServiceSettings,
        session: CloudSession?,
        logger: Logger
    ) throws(OpenStackError) {
        exchange = try CloudExchange(name, settings, logger: logger)
        self.session = session
    }

    var name: String { exchange.name }
    var settings: CloudServiceSettings { exchange.settings }

    /// An answer whose body is JSON, or nothing.
    package struct Answer: Sendable {
        package var status: Int
        package var body: JSONValue
    }

    /// Sends a request and returns the answer if its status is one of success.
    ///
    /// - Parameters:
    ///   - path: below the endpoint, with its query.
    ///   - isRepeatable: see ``CloudExchange/send(_:_:headers:body:isRepeatable:)``; `nil`: unless it is a POST.
    ///   - accepted: other statuses that are answers and no failures.
    package func send(
        _ method: String,
        _ path: String,
        _ document: JSONValue? = nil,
        headers: [HTTPHeader] = [],
        isRepeatable: Bool? = nil,
        accepting accepted: Set<Int> = []
    ) async throws(OpenStackError) -> Answer {
        var headers = headers
        headers.append(HTTPHeader("Accept", "application/json"))
        var body: [UInt8]?
        if let document {
            do {
                body = try JSONWriter.bytes(of: document)
            } catch {
                throw OpenStackError(.failed, "\(name): a request has no JSON form", cause: error)
            }
            if !headers.contains(where: { $0.name == "Content-Type" }) {
                headers.append(HTTPHeader("Content-Type", "application/json"))
            }
        } else if method != "GET" && method != "DELETE" {
            body = []
        }
        let response = try await authorized(path) { url, token throws(OpenStackError) in
            try await exchange.send(
                method,
                url,
                headers: headers + token,
                body: body,
                isRepeatable: isRepeatable ?? (method != "POST")
            )
        }
        guard (200...299).contains(response.status) || accepted.contains(response.status) else {
            throw exchange.failure(response, method, String(path.prefix { $0 != "?" }))
        }
        if response.body.isEmpty { return Answer(status: response.status, body: .null) }
        guard let value = try? JSONReader.read(response.body) else {
            // Errors may come as pages for people.
            if !(200...299).contains(response.status) { return Answer(status: response.status, body: .null) }
            throw OpenStackError(.malformed, "\(name) answered \(method) with what is no JSON", status: response.status)
        }
        return Answer(status: response.status, body: value)
    }

    /// The URL of a path and the headers to send along.
    func address(_ path: String) async throws(OpenStackError) -> (
        url: HTTPURL, headers: [HTTPHeader], token: CloudToken?
    ) {
        let token = try await session?.token()
        var base: String
        if let override = settings.endpointOverride {
            base = override
        } else if let token {
            base = try token.catalog.url(settings)
        } else {
            throw OpenStackError(.catalog, "\(name) has neither credentials nor an endpoint_override")
        }
        while base.hasSuffix("/") { base.removeLast() }
        // Some endpoints end with the version that paths begin with.
        if let version = path.split(separator: "/").first, base.hasSuffix("/" + version) {
            base.removeLast(version.count + 1)
        }
        do throws(HTTPError) {
            let headers = token.map { [HTTPHeader(Self.tokenHeader, $0.value.secret)] } ?? []
            return (try HTTPURL(base + path), headers, token)
        } catch {
            throw OpenStackError(.catalog, "the endpoint of \(name) is no URL", cause: error)
        }
    }

    /// Does an exchange, and once more with a new token if the old one is not taken.
    func authorized(
        _ path: String,
        _ body: (HTTPURL, [HTTPHeader]) async throws(OpenStackError) -> HTTPResponse
    ) async throws(OpenStackError) -> HTTPResponse {
        let (url, headers, token) = try await address(path)
        let response = try await body(url, headers)
        guard response.status == 401, let token, let session else { return response }
        session.discard(token)
        let (again, fresh, _) = try await address(path)
        return try await body(again, fresh)
    }

    /// Forgets the token that these headers carry, if it is still in use.
    func discard(_ token: CloudToken?) {
        if let token { session?.discard(token) }
    }
}
