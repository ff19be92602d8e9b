/// A worker that cannot be set up as asked.
package struct RPCWorkerError: Error, CustomStringConvertible {
    package struct Code: Sendable, Hashable {
        private enum Kind: Hashable { case configuration, journal }
        private let kind: Kind

        /// Options or hosts that do not go together.
        package static let configuration = Code(kind: .configuration)
        /// A host's journal cannot be read at the start.
        package static let journal = Code(kind: .journal)
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
        if let cause { "\(message): \(cause)" } else { message }
    }
}
