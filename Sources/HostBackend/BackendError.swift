/// What a host backend throws; the operations layer turns it into Nova's exception classes.
package struct BackendError: Error, Sendable, CustomStringConvertible {
    package enum Code: String, Sendable, CaseIterable {
        case notFound = "not_found"
        case alreadyExists = "already_exists"
        case invalidState = "invalid_state"
        case invalidArgument = "invalid_argument"
        /// The backend lacks the capability: never worth a repetition.
        case unimplemented
        case unauthorized
        /// An operation is pending on this object: worth a repetition later.
        case busy
        case resourceExhausted = "resource_exhausted"
        case timeout
        case cancelled
        /// The hypervisor cannot be reached now.
        case unavailable
        /// The object exists and is not ours.
        case conflict
        case `internal`
    }

    package let code: Code
    package let message: String
    package let cause: (any Error)?

    package init(_ code: Code, _ message: String, cause: (any Error)? = nil) {
        self.code = code
        self.message = message
        self.cause = cause
    }

    package var description: String {
        cause.map { "\(message): \($0)" } ?? message
    }

    package static func unsupported(_ what: String) -> BackendError {
        BackendError(.unimplemented, "\(what) is not supported by this host")
    }
}
