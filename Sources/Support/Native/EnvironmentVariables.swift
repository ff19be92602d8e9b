import Glibc

/// What this process was started with.
package enum EnvironmentVariables {
    /// A copy; entries without a name are left out.
    package static var all: [String: String] {
        var variables: [String: String] = [:]
        var position = environ
        while let entry = position.pointee {
            let text = String(cString: entry)
            if let equals = text.firstIndex(of: "=") {
                variables[String(text[..<equals])] = String(text[text.index(after: equals)...])
            }
            position += 1
        }
        return variables
    }
}
