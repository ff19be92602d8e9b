/// Why a request or a download did not succeed. No text in it holds credentials or a query.
package struct HTTPError: Error, Sendable, CustomStringConvertible {
    package struct Code: Sendable, Hashable, CustomStringConvertible {
        private enum Value: String {
            case invalidRequest, unreachable, tls, timeout, interrupted, protocolViolation, redirect, tooLarge, noSpace
            case file, status, cancelled, closed, failed
        }

        private let value: Value

        /// The URL, a header or the method cannot be sent.
        package static let invalidRequest = Code(value: .invalidRequest)
        /// The name is unknown or nobody answers there.
        package static let unreachable = Code(value: .unreachable)
        /// The peer's certificate is not trusted, or ours not accepted.
        package static let tls = Code(value: .tls)
        /// A deadline passed: for the connection, for silence, or in all.
        package static let timeout = Code(value: .timeout)
        /// The connection broke, or ended before the announced length.
        package static let interrupted = Code(value: .interrupted)
        /// The answer is not HTTP, or contradicts itself.
        package static let protocolViolation = Code(value: .protocolViolation)
        /// Too many redirects, or one that is not to be followed.
        package static let redirect = Code(value: .redirect)
        /// The body exceeds the limit.
        package static let tooLarge = Code(value: .tooLarge)
        /// The file system has not enough room.
        package static let noSpace = Code(value: .noSpace)
        /// The file cannot be written.
        package static let file = Code(value: .file)
        /// A download was answered with ``HTTPError/status``.
        package static let status = Code(value: .status)
        /// The calling task was cancelled.
        package static let cancelled = Code(value: .cancelled)
        /// The client was closed.
        package static let closed = Code(value: .closed)
        /// Anything else that libcurl reports.
        package static let failed = Code(value: .failed)

        package var description: String { value.rawValue }
    }

    package let code: Code
    package let message: String
    /// The response's status, where there was one.
    package let status: Int?

    package init(_ code: Code, _ message: String, status: Int? = nil) {
        self.code = code
        self.message = message
        self.status = status
    }

    package var description: String { message }

    /// Whether the same request may well succeed a little later.
    package var isRetriable: Bool {
        switch code {
        case .unreachable, .timeout, .interrupted: true
        case .status: [408, 425, 429, 500, 502, 503, 504].contains(status)
        default: false
        }
    }
}
