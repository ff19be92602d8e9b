/// An absolute `http` or `https` URL, taken apart by libcurl's own parser, so that what was checked is what is used.
package struct HTTPURL: Sendable, Hashable, CustomStringConvertible {
    /// `http` or `https`.
    package let scheme: String
    /// In small letters; an IPv6 address in brackets.
    package let host: String
    /// The port, the scheme's default included.
    package let port: Int
    /// Begins with `/`; dot segments resolved, percent-encoding as given.
    package let path: String
    /// Without the `?`; may hold a signature.
    package let query: String?
    /// From the user information of the text; never part of ``text``.
    package let credentials: HTTPCredentials?
    /// The URL to ask for, without user information and fragment.
    package let text: String

    /// - Throws: `invalidRequest`, without the text, which may hold a password.
    package init(_ text: String) throws(HTTPError) {
        self = try CurlURL.parse(text, relativeTo: nil)
    }

    init(
        scheme: String,
        host: String,
        port: Int,
        path: String,
        query: String?,
        credentials: HTTPCredentials?,
        text: String
    ) {
        self.scheme = scheme
        self.host = host
        self.port = port
        self.path = path
        self.query = query
        self.credentials = credentials
        self.text = text
    }

    /// Whether both have scheme, host and port in common.
    package func hasOrigin(of other: HTTPURL) -> Bool {
        scheme == other.scheme && host == other.host && port == other.port
    }

    /// For logs and errors: without user information, the query hidden.
    package var description: String {
        guard query != nil, let mark = text.firstIndex(of: "?") else { return text }
        return text[...mark] + "***"
    }
}
