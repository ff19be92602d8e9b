/// Why a host cannot be a compute service of this control plane. Waiting would not help: somebody has to decide.
package struct ComputeServiceError: Error, Sendable, CustomStringConvertible {
    package struct Code: Sendable, Hashable {
        let name: String

        /// The file with the node's identifier is missing though it must have been there, or is unreadable.
        package static let identity = Code(name: "identity")
        /// The database has the name or the identifier for something else.
        package static let nameClash = Code(name: "name clash")
        /// The control plane has no services as old as this one says it is.
        package static let tooOld = Code(name: "too old")
    }

    package let code: Code
    package let message: String
    package let cause: (any Error)?

    init(_ code: Code, _ message: String, cause: (any Error)? = nil) {
        self.code = code
        self.message = message
        self.cause = cause
    }

    package var description: String { message }
}
