/// What went wrong between us and a QEMU monitor.
package struct QMPError: Error, Hashable, CustomStringConvertible {
    package enum Code: String, Sendable {
        /// Nobody listens, or the greeting did not come in time: another client may hold the monitor.
        case unreachable
        /// The session ended; QEMU is gone or has closed the monitor.
        case closed
        /// No answer by the deadline: whether the command was carried out is unknown.
        case timeout
        /// QEMU answered with an error.
        case refused
        /// QEMU, or whoever answers in its place, sent what is no QMP.
        case protocolViolation
        /// The waiting task was cancelled; whether the command was carried out is unknown.
        case cancelled
    }

    package let code: Code
    package let message: String
    /// QEMU's `error.class`, such as `GenericError` or `DeviceNotFound`, when it refused.
    package let errorClass: String?

    package init(_ code: Code, _ message: String, errorClass: String? = nil) {
        self.code = code
        self.message = message
        self.errorClass = errorClass
    }

    package var description: String { message }
}
