import Glibc

/// A file operation that the operating system refused.
package struct FileError: Error, Sendable, CustomStringConvertible {
    /// What was tried, such as `open`.
    package let operation: String
    package let path: String
    /// The value of `errno`.
    package let number: Int32

    /// Takes the present `errno` unless one is given.
    package init(_ operation: String, _ path: String, number: Int32 = errno) {
        self.operation = operation
        self.path = path
        self.number = number
    }

    package var description: String {
        "cannot \(operation) \(path): \(String(cString: strerror(number)))"
    }
}
