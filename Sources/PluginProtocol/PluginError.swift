package import HostBackend

/// Why something between the worker and a plugin did not work out.
package struct PluginError: Error, Sendable, CustomStringConvertible {
    /// What kind of trouble it is.
    package struct Code: Hashable, Sendable, CustomStringConvertible {
        private enum Value: String {
            case refused, closed, hung, overdue, violation, start, incompatible, cancelled
        }

        private let value: Value

        /// The plugin answered with an error; ``PluginError/fault`` has it.
        package static let refused = Code(value: .refused)
        /// The connection has ended; whether the request was carried out is unknown.
        package static let closed = Code(value: .closed)
        /// The plugin did not answer by the deadline and the grace behind it.
        package static let hung = Code(value: .hung)
        /// The deadline passed before the request could be sent.
        package static let overdue = Code(value: .overdue)
        /// What the plugin sent is not the protocol.
        package static let violation = Code(value: .violation)
        /// The plugin cannot be started or reached, or did not say hello in time.
        package static let start = Code(value: .start)
        /// There is no version of the protocol that both sides speak.
        package static let incompatible = Code(value: .incompatible)
        /// Given up by the caller before it was sent.
        package static let cancelled = Code(value: .cancelled)

        package var description: String { value.rawValue }
    }

    package let code: Code
    package let message: String
    /// The plugin's own answer, if there is one.
    package let fault: PluginFault?

    package init(_ code: Code, _ message: String, fault: PluginFault? = nil) {
        self.code = code
        self.message = message
        self.fault = fault
    }

    /// An error that the plugin answered with.
    package init(_ fault: PluginFault) {
        self.init(.refused, fault.message, fault: fault)
    }

    package var description: String { message }

    /// What a host backend throws in its place.
    package var backendError: BackendError {
        switch code {
        case .refused: fault?.backendError ?? BackendError(.internal, message)
        case .cancelled: BackendError(.cancelled, message)
        case .overdue: BackendError(.timeout, message)
        default: BackendError(.unavailable, message)
        }
    }
}
