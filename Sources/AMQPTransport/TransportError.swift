/// What went wrong between us and the broker.
package struct TransportError: Error, CustomStringConvertible {
    package struct Code: Sendable, Hashable, CustomStringConvertible {
        private enum Value: String {
            case unreachable, tls, refused, configuration, connectionLost, protocolViolation, closed, system
        }

        private let value: Value

        /// No connection to the address, or none in time.
        package static let unreachable = Code(value: .unreachable)
        /// The TLS handshake or the check of a certificate failed.
        package static let tls = Code(value: .tls)
        /// The broker refuses us: credentials, virtual host, permissions.
        package static let refused = Code(value: .refused)
        /// Something on our side cannot work, such as an unreadable key file.
        package static let configuration = Code(value: .configuration)
        /// An established connection ended.
        package static let connectionLost = Code(value: .connectionLost)
        /// The peer sent what AMQP 0-9-1 does not allow.
        package static let protocolViolation = Code(value: .protocolViolation)
        /// The session is closed, or was already running.
        package static let closed = Code(value: .closed)
        /// The operating system refused something (thread, descriptor).
        package static let system = Code(value: .system)

        package var description: String { value.rawValue }
    }

    package let code: Code
    package let message: String
    package let cause: (any Error)?

    package init(_ code: Code, _ message: String, cause: (any Error)? = nil) {
        self.code = code
        self.message = message
        self.cause = cause
    }

    /// Whether trying again soon can help.
    package var isTransient: Bool { code != .refused && code != .configuration && code != .tls }

    package var description: String {
        if let cause { "\(code): \(message) (\(cause))" } else { "\(code): \(message)" }
    }
}
