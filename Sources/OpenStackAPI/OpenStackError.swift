import HTTPClient

/// Why a service of a cloud did not do what it was asked. No text in it holds a password, a token or a query.
package struct OpenStackError: Error, Sendable, CustomStringConvertible {
    package struct Code: Sendable, Hashable, CustomStringConvertible {
        private enum Value: String {
            case unavailable, unauthorized, notFound, conflict, refused, catalog, malformed, mismatch, cancelled, failed
        }

        private let value: Value

        /// Nobody answers, or only that it cannot be done now: also not after the last try.
        package static let unavailable = Code(value: .unavailable)
        /// The credentials are wrong, or not good enough (401, 403).
        package static let unauthorized = Code(value: .unauthorized)
        /// There is nothing of that name (404, 410).
        package static let notFound = Code(value: .notFound)
        /// Somebody else has changed it meanwhile, or it is in the way (409).
        package static let conflict = Code(value: .conflict)
        /// Another answer of the 4xx kind: asking again will not help.
        package static let refused = Code(value: .refused)
        /// The service has no endpoint that fits the options.
        package static let catalog = Code(value: .catalog)
        /// An answer that makes no sense.
        package static let malformed = Code(value: .malformed)
        /// What was sent or has come is not what it should be.
        package static let mismatch = Code(value: .mismatch)
        /// The calling task was cancelled.
        package static let cancelled = Code(value: .cancelled)
        /// Anything else.
        package static let failed = Code(value: .failed)

        package var description: String { value.rawValue }
    }

    package let code: Code
    package let message: String
    /// The answer's status, where there was one.
    package let status: Int?
    package let cause: (any Error)?

    package init(_ code: Code, _ message: String, status: Int? = nil, cause: (any Error)? = nil) {
        self.code = code
        self.message = message
        self.status = status
        self.cause = cause
    }

    package var description: String { message }

    /// What an exchange without a useful answer comes to.
    init(_ error: HTTPError, _ service: String) {
        let code: Code =
            switch error.code {
            case .cancelled: .cancelled
            case .unreachable, .timeout, .interrupted, .tls, .closed: .unavailable
            case .protocolViolation, .tooLarge, .redirect: .malformed
            default: .failed
            }
        self.init(code, "\(service): \(error.message)", status: error.status, cause: error)
    }

    /// What a status comes to that is none of success.
    ///
    /// - Parameter reason: the service's own words.
    init(status: Int, _ reason: String, _ service: String, _ method: String, _ path: String) {
        let code: Code =
            switch status {
            case 401, 403: .unauthorized
            case 404, 410: .notFound
            case 409: .conflict
            case 408, 425, 429, 500...: .unavailable
            default: .refused
            }
        let words = reason.isEmpty ? "" : ": \(reason)"
        self.init(code, "\(service) answered \(method) \(path) with status \(status)\(words)", status: status)
    }
}
