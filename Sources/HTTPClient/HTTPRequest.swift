package import Support

/// A name and a password for Basic authentication.
package struct HTTPCredentials: Sendable, Hashable {
    package var user: String
    package var password: Redacted<String>

    package init(user: String, password: Redacted<String>) {
        self.user = user
        self.password = password
    }
}

/// A header of a request or a response.
package struct HTTPHeader: Sendable, Hashable {
    package var name: String
    package var value: String

    package init(_ name: String, _ value: String) {
        self.name = name
        self.value = value
    }
}

/// How long each part of an exchange may take.
package struct HTTPDeadlines: Sendable, Hashable {
    /// Name resolution, TCP and TLS.
    package var connect: Duration
    /// Silence once connected; whole seconds, at least one, noticed within five seconds more.
    package var stall: Duration
    /// Everything, redirects not included; `nil` = no limit.
    package var total: Duration?

    package init(
        connect: Duration = .seconds(30),
        stall: Duration = .seconds(60),
        total: Duration? = .seconds(300)
    ) {
        self.connect = connect
        self.stall = stall
        self.total = total
    }
}

/// A request to send.
package struct HTTPRequest: Sendable {
    package var method: String
    package var url: HTTPURL
    package var headers: [HTTPHeader]
    package var body: [UInt8]?
    /// A file whose content is the body, in place of ``body``. Read on the client's thread as the server takes it; a
    /// redirect of such a request is not followed.
    package var bodyFile: String?
    /// Whether a connection of its own is made. On one that was used before libcurl sends a request once more when the
    /// connection ends without an answer, which is not for requests that must not be done twice.
    package var usesNewConnection = false
    /// Instead of those in the URL's text. Never sent to another origin by a redirect.
    package var credentials: HTTPCredentials?
    package var deadlines: HTTPDeadlines
    /// Larger bodies end the exchange with `tooLarge`.
    package var maximumBodyBytes: Int
    /// Redirects that are followed; 0 = the redirect itself is the response.
    package var maximumRedirects: Int
    /// Whether a redirect to this URL may be followed; one from https to http never is.
    package var mayFollow: @Sendable (HTTPURL) -> Bool

    package init(
        _ method: String,
        _ url: HTTPURL,
        headers: [HTTPHeader] = [],
        body: [UInt8]? = nil,
        bodyFile: String? = nil,
        deadlines: HTTPDeadlines = HTTPDeadlines(),
        maximumBodyBytes: Int = 16 << 20,
        maximumRedirects: Int = 5,
        mayFollow: @escaping @Sendable (HTTPURL) -> Bool = { _ in true }
    ) {
        self.method = method
        self.url = url
        self.headers = headers
        self.body = body
        self.bodyFile = bodyFile
        self.credentials = url.credentials
        self.deadlines = deadlines
        self.maximumBodyBytes = maximumBodyBytes
        self.maximumRedirects = maximumRedirects
        self.mayFollow = mayFollow
    }

    /// What libcurl would pass on unchanged although it can end a line.
    func check() throws(HTTPError) {
        func isToken(_ text: String) -> Bool {
            !text.isEmpty
                && text.utf8.allSatisfy { byte in
                    (0x30...0x39).contains(byte) || (0x41...0x5A).contains(byte) || (0x61...0x7A).contains(byte)
                        || "!#$%&'*+-.^_`|~".utf8.contains(byte)
                }
        }
        guard isToken(method) else { throw HTTPError(.invalidRequest, "not a method of HTTP") }
        for header in headers {
            guard isToken(header.name) else { throw HTTPError(.invalidRequest, "not a header's name") }
            guard header.value.utf8.allSatisfy({ ($0 >= 0x20 || $0 == 9) && $0 != 0x7F }) else {
                throw HTTPError(.invalidRequest, "the header \(header.name) holds control characters")
            }
        }
    }
}

/// Status and headers of a response.
package struct HTTPHead: Sendable, Hashable {
    package var status: Int
    package var headers: [HTTPHeader]

    package init(status: Int = 0, headers: [HTTPHeader] = []) {
        self.status = status
        self.headers = headers
    }

    /// The first header of that name, letter case aside.
    package subscript(name: String) -> String? {
        let name = name.lowercased()
        return headers.first { $0.name.lowercased() == name }?.value
    }

    var isRedirect: Bool { [301, 302, 303, 307, 308].contains(status) && self["Location"] != nil }
}

/// A response with its body in memory; the status may be any, errors included.
package struct HTTPResponse: Sendable {
    package var head: HTTPHead
    package var body: [UInt8]
    /// Where it came from after all redirects.
    package var url: HTTPURL

    package var status: Int { head.status }
}
