/// Why a request came to no result of its own. What the remote method raised is a `RemoteFailure` instead.
package struct RPCClientError: Error, Sendable, CustomStringConvertible {
    package struct Code: Sendable, Hashable, CustomStringConvertible {
        private enum Value: String {
            case timeout, silence, undeliverable, deliveryFailed, unreachable, invalidTarget, unencodable, tooMany
            case closed
        }

        private let value: Value

        /// The answer did not come in time; the method may still run.
        package static let timeout = Code(value: .timeout)
        /// A monitored call gave no sign of life in time; the method may still run.
        package static let silence = Code(value: .silence)
        /// A mandatory message found no queue.
        package static let undeliverable = Code(value: .undeliverable)
        /// The broker refused the message.
        package static let deliveryFailed = Code(value: .deliveryFailed)
        /// There is no connection to the broker, in time or within the retries allowed. The message may still be sent.
        package static let unreachable = Code(value: .unreachable)
        /// The target cannot be called or cast to that way.
        package static let invalidTarget = Code(value: .invalidTarget)
        /// An argument has no JSON form.
        package static let unencodable = Code(value: .unencodable)
        /// ``RPCClientSettings/maximumWaiting`` requests wait for answers already.
        package static let tooMany = Code(value: .tooMany)
        /// The client has ended, or does before the answer is there.
        package static let closed = Code(value: .closed)

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

    /// Whether time was up, in one way or another.
    package var isTimeout: Bool { code == .timeout || code == .silence }

    package var description: String {
        if let cause { "\(message): \(cause)" } else { message }
    }
}
