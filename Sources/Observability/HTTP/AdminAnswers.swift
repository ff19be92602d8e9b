/// Whether something is well, and why not.
package enum HealthVerdict: Sendable, Hashable {
    case good
    /// Each reason on a line of its own.
    case bad(reasons: [String])
}

/// What the admin server tells; each is called on the server's thread, one at a time, and should only read what is
/// at hand.
package struct AdminAnswers: Sendable {
    /// Whether the process works at all: a supervisor restarts it when not.
    package var health: @Sendable () -> HealthVerdict
    /// Whether it serves requests now.
    package var readiness: @Sendable () -> HealthVerdict
    /// Prometheus' text format.
    package var metrics: @Sendable () -> String
    /// A JSON document.
    package var status: @Sendable () -> String

    package init(
        health: @escaping @Sendable () -> HealthVerdict,
        readiness: @escaping @Sendable () -> HealthVerdict,
        metrics: @escaping @Sendable () -> String,
        status: @escaping @Sendable () -> String
    ) {
        self.health = health
        self.readiness = readiness
        self.metrics = metrics
        self.status = status
    }

    /// The answer to a request; everything but GET and HEAD of the four paths is refused.
    func response(method: String, path: String) -> HTTPResponse {
        let answer: () -> HTTPResponse
        switch path {
        case "/healthz": answer = { .verdict(health()) }
        case "/readyz": answer = { .verdict(readiness()) }
        case "/metrics": answer = { HTTPResponse(200, Exposition.contentType, metrics()) }
        case "/status": answer = { HTTPResponse(200, "application/json", status()) }
        default: return HTTPResponse(404, HTTPResponse.plain, "not found\n")
        }
        guard method == "GET" || method == "HEAD" else {
            return HTTPResponse(405, HTTPResponse.plain, "only GET and HEAD\n", allow: "GET, HEAD")
        }
        return answer()
    }
}

struct HTTPResponse: Sendable, Hashable {
    static let plain = "text/plain; charset=utf-8"

    var status: Int
    var contentType: String
    var body: String
    /// The methods for a 405.
    var allow: String?

    init(_ status: Int, _ contentType: String, _ body: String, allow: String? = nil) {
        self.status = status
        self.contentType = contentType
        self.body = body
        self.allow = allow
    }

    static func verdict(_ verdict: HealthVerdict) -> HTTPResponse {
        switch verdict {
        case .good: HTTPResponse(200, plain, "ok\n")
        case .bad(let reasons): HTTPResponse(503, plain, reasons.map { "\($0)\n" }.joined())
        }
    }
}
