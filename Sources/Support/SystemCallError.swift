import Glibc

/// A system call that failed: its name, the error number and, if there is one, the path it was about.
package struct SystemCallError: Error, Hashable, CustomStringConvertible {
    package let call: String
    package let number: Int32
    package let path: String?

    package init(_ call: String, _ number: Int32, path: String? = nil) {
        self.call = call
        self.number = number
        self.path = path
    }

    package var description: String {
        let reason = strerror(number).map { String(cString: $0) } ?? "error \(number)"
        return path.map { "\(call) \($0): \(reason)" } ?? "\(call): \(reason)"
    }
}
