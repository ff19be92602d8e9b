package import Logging

/// Requests over HTTP and HTTPS, done by libcurl.
///
/// One thread per client does all network traffic (`curl_multi`); connections are kept and used again. Any number of
/// tasks may send at once. Bodies of downloads are written to their files on that thread too, so a slow disk holds up
/// the other exchanges of the same client: whoever downloads much has a client of its own for it.
///
/// A task that is cancelled gets `cancelled` at once; its connection is closed. When the last reference goes, the
/// thread ends. Nothing is ever logged or thrown that holds credentials, a body or a query.
package final class HTTPClient: Sendable {
    let loop: CurlLoop
    let logger: Logger

    /// - Throws: `failed` when the thread cannot be started.
    package init(settings: HTTPSettings = HTTPSettings(), logger: Logger) throws(HTTPError) {
        loop = try CurlLoop(settings)
        self.logger = logger
    }

    deinit { loop.stop() }

    /// Sends a request, follows redirects as it allows, and returns whatever response comes in the end.
    package func send(_ request: HTTPRequest) async throws(HTTPError) -> HTTPResponse {
        let sink = MemorySink(limit: request.maximumBodyBytes)
        let (head, url) = try await follow(request) { _ in
            sink.clear()
            return sink
        }
        return HTTPResponse(head: head, body: sink.bytes, url: url)
    }

    /// Sends the request and follows redirects.
    ///
    /// - Parameter sink: makes the sink for each hop.
    func follow(
        _ request: HTTPRequest,
        sink: (HTTPRequest) throws(HTTPError) -> any BodySink
    ) async throws(HTTPError) -> (head: HTTPHead, url: HTTPURL) {
        try request.check()
        var request = request
        var left = request.maximumRedirects
        while true {
            let head = try await loop.perform(request, sink: try sink(request))
            logger.debug(
                "http exchange",
                metadata: ["method": "\(request.method)", "url": "\(request.url)", "status": "\(head.status)"]
            )
            guard head.isRedirect, request.maximumRedirects > 0, request.bodyFile == nil else {
                return (head, request.url)
            }
            guard left > 0 else {
                throw HTTPError(.redirect, "more than \(request.maximumRedirects) redirects", status: head.status)
            }
            left -= 1
            try request.redirect(head)
        }
    }
}

extension HTTPRequest {
    /// Becomes the request that a redirect asks for.
    fileprivate mutating func redirect(_ head: HTTPHead) throws(HTTPError) {
        let target: HTTPURL
        do throws(HTTPError) {
            target = try CurlURL.parse(head["Location"] ?? "", relativeTo: url)
        } catch {
            throw HTTPError(.redirect, "\(url) redirects to what is not a URL of http or https", status: head.status)
        }
        guard url.scheme == "http" || target.scheme == "https" else {
            throw HTTPError(.redirect, "\(url) redirects from https to http", status: head.status)
        }
        guard mayFollow(target) else {
            throw HTTPError(.redirect, "\(url) redirects to \(target), which is not allowed", status: head.status)
        }
        if !target.hasOrigin(of: url) {
            credentials = nil
            let secret: Set<String> = ["authorization", "cookie", "x-auth-token", "x-service-token"]
            headers.removeAll { secret.contains($0.name.lowercased()) }
        }
        // As all clients do: the method survives only where the status says so.
        if ![307, 308].contains(head.status), method != "HEAD" {
            method = "GET"
            body = nil
        }
        url = target
    }
}
