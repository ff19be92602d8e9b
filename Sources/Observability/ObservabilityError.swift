/// Why logs, metrics or the admin server could not be set up.
package struct ObservabilityError: Error, CustomStringConvertible {
    package struct Code: Sendable, Hashable {
        private enum Value: Sendable, Hashable { case logFile, address, server, notify }
        private let value: Value

        /// The log file cannot be opened.
        package static let logFile = Code(value: .logFile)
        /// The admin server's address cannot be taken.
        package static let address = Code(value: .address)
        /// The HTTP server could not be started.
        package static let server = Code(value: .server)
        /// The service manager could not be told.
        package static let notify = Code(value: .notify)
    }

    package let code: Code
    package let message: String

    init(_ code: Code, _ message: String) {
        self.code = code
        self.message = message
    }

    package var description: String { message }
}
