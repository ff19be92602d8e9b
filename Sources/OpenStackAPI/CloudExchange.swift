import HTTPClient
import JSONCodec
import Logging
import Support

/// Exchanges with one service, repeated within bounds while it cannot answer.
struct CloudExchange: Sendable {
    /// Of the words of an error that are passed on.
    private static let longestReason = 300

    let name: String
    let settings: CloudServiceSettings
    let client: HTTPClient
    let logger: Logger

    init(_ name: String, _ settings: CloudServiceSettings, logger: Logger) throws(OpenStackError) {
        self.name = name
        self.settings = settings
        self.logger = logger
        do {
            client = try HTTPClient(settings: settings.http, logger: logger)
        } catch {
            throw OpenStackError(error, name)
        }
    }

    /// Sends a request until it is answered with more than that it cannot be now.
    ///
    /// - Parameter isRepeatable: whether asking twice does no harm. If not, the request is repeated only when nobody has
    ///   taken it: the connection could not be made, or the service said that it did not do it.
    func send(
        _ method: String,
        _ url: HTTPURL,
        headers: [HTTPHeader],
        body: [UInt8]?,
        isRepeatable: Bool
    ) async throws(OpenStackError) -> HTTPResponse {
        var pauses = Backoff(initial: settings.retryDelay, maximum: settings.longestDelay)
        var lostConnections = 0
        var busyAnswers = 0
        while true {
            var request = HTTPRequest(method, url, headers: headers, body: body, deadlines: settings.deadlines)
            request.maximumRedirects = 0
            request.usesNewConnection = !isRepeatable
            let complaint: String
            do throws(HTTPError) {
                let response = try await client.send(request)
                let isBusy =
                    isRepeatable ? [429, 500, 502, 503, 504].contains(response.status) : response.status == 503
                guard isBusy, busyAnswers < settings.statusRetries else { return response }
                busyAnswers += 1
                complaint = "status \(response.status)"
            } catch {
                let mayRepeat = isRepeatable ? error.isRetriable : error.code == .unreachable
                guard mayRepeat, lostConnections < settings.connectRetries else { throw OpenStackError(error, name) }
                lostConnections += 1
                complaint = error.message
            }
            logger.notice(
                "service cannot answer, trying again",
                metadata: ["service": "\(name)", "method": "\(method)", "url": "\(url)", "reason": "\(complaint)"]
            )
            do {
                try await Task.sleep(for: pauses.next())
            } catch {
                throw OpenStackError(.cancelled, "the request was cancelled")
            }
        }
    }

    /// The failure that a response tells of, with the service's own words.
    func failure(_ response: HTTPResponse, _ method: String, _ path: String) -> OpenStackError {
        OpenStackError(status: response.status, Self.reason(response.body), name, method, path)
    }

    /// Each service has its own form: `{"error": {"message"}}`, `{"errors": [{"detail"}]}`,
    /// `{"NeutronError": {"message"}}`; glance has a page of HTML, of which nothing is taken.
    private static func reason(_ body: [UInt8]) -> String {
        guard let document = (try? JSONReader.read(body))?.objectValue else { return "" }
        var text = ""
        for member in document {
            let value = member.value.arrayValue?.first ?? member.value
            text = (value["message"] ?? value["detail"] ?? value["title"] ?? value).stringValue ?? ""
            if !text.isEmpty { break }
        }
        let line = text.split { $0.isNewline || $0.unicodeScalars.contains { $0.value < 0x20 } }.joined(separator: " ")
        return CredentialMask.masking(String(line.prefix(longestReason)))
    }
}
