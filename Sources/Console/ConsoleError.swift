/// What the console subsystem throws to readers and movers. Capture itself never throws: its troubles show in
/// ``ConsoleStatus``.
package struct ConsoleError: Error, Sendable, CustomStringConvertible {
    package struct Code: Sendable, Hashable {
        private enum Value { case notAvailable, storage, checksum, outOfOrder, incomplete, busy, cancelled }

        private let value: Value

        private init(_ value: Value) { self.value = value }

        /// The machine has no console.
        package static let notAvailable = Code(.notAvailable)
        /// Files could not be read or written; the cause says why.
        package static let storage = Code(.storage)
        /// A chunk of a moving log arrived damaged: send it again.
        package static let checksum = Code(.checksum)
        /// A chunk is not the continuation of what arrived: ask where to go on.
        package static let outOfOrder = Code(.outOfOrder)
        /// The log has not arrived as a whole: ask where to go on.
        package static let incomplete = Code(.incomplete)
        /// The log is being written and cannot be given up.
        package static let busy = Code(.busy)
        package static let cancelled = Code(.cancelled)
    }

    package let code: Code
    package let message: String
    package let cause: (any Error)?

    package init(_ code: Code, _ message: String, cause: (any Error)? = nil) {
        self.code = code
        self.message = message
        self.cause = cause
    }

    package var description: String { cause.map { "\(message): \($0)" } ?? message }
}
