/// Where a value was written.
package enum Origin: Sendable, Hashable, CustomStringConvertible {
    case builtIn
    case file(path: String, line: Int)
    /// An environment variable, by its name.
    case environment(String)
    /// `--set`, with the text of the argument up to the `=`.
    case commandLine(String)

    package var description: String {
        switch self {
        case .builtIn: "default"
        case .file(let path, let line): line > 0 ? "\(path):\(line)" : path
        case .environment(let name): "environment \(name)"
        case .commandLine(let name): "--set \(name)"
        }
    }

    var file: String? {
        if case .file(let path, _) = self { path } else { nil }
    }

    var line: Int? {
        if case .file(_, let line) = self { line } else { nil }
    }
}
