/// Something wrong or odd in what the operator wrote.
package struct Problem: Sendable, Hashable, CustomStringConvertible {
    package enum Severity: String, Sendable, Comparable {
        /// For information: nothing needs to be done.
        case note
        /// Ignored input that was probably meant otherwise.
        case warning
        /// The program must not start.
        case error

        private var rank: Int {
            switch self {
            case .note: 0
            case .warning: 1
            case .error: 2
            }
        }

        package static func < (left: Severity, right: Severity) -> Bool { left.rank < right.rank }
    }

    package var severity: Severity
    package var origin: Origin
    /// `group.option`, with `host:NAME.` in front for an override; `nil` when no single option is meant.
    package var option: String?
    package var message: String

    package init(_ severity: Severity, at origin: Origin, option: String? = nil, _ message: String) {
        self.severity = severity
        self.origin = origin
        self.option = option
        self.message = message
    }

    /// The file, when the value came from one.
    package var file: String? { origin.file }
    /// The line in ``file``, counted from 1; 0 when the file as a whole is meant.
    package var line: Int? { origin.line }

    /// One line: `error: vmops.conf:12: console.archives: …`.
    package var description: String {
        let place = origin == .builtIn ? "" : "\(origin): "
        return "\(severity.rawValue): \(place)\(option.map { "\($0): " } ?? "")\(message)"
    }
}
