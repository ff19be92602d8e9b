package import Support

/// Why a program could not be started.
package struct ProcessError: Error, Sendable, CustomStringConvertible {
    /// What kind of trouble it is.
    package struct Code: Hashable, Sendable {
        private enum Value { case invalid, output, resources, execution }

        private let value: Value

        /// The command is not one: a relative path, a NUL in a text, descriptors that clash.
        package static let invalid = Code(value: .invalid)
        /// The output file cannot be opened.
        package static let output = Code(value: .output)
        /// The system has no room: processes, memory, descriptors.
        package static let resources = Code(value: .resources)
        /// The program cannot be executed, or its working directory cannot be entered.
        package static let execution = Code(value: .execution)
    }

    package let code: Code
    package let message: String
    /// The system call that failed, if one did.
    package let cause: SystemCallError?

    package init(_ code: Code, _ message: String, cause: SystemCallError? = nil) {
        self.code = code
        self.message = message
        self.cause = cause
    }

    package var description: String { cause.map { "\(message): \($0)" } ?? message }
}
