import Subprocess
import SystemPackage

extension Environment {
    /// These variables and no others.
    static func only(_ variables: [String: String]) -> Environment {
        var known: [Key: String] = [:]
        for (name, value) in variables {
            if let key = Key(rawValue: name) { known[key] = value }
        }
        return .custom(known)
    }
}

extension Executable {
    /// The program of a command: a path, or a name that is looked for.
    static func program(of command: [String]) -> Executable {
        let program = command.first ?? ""
        return program.contains("/") ? .path(FilePath(program)) : .name(program)
    }
}

extension PluginProcess.End {
    init(_ status: TerminationStatus) {
        switch status {
        case .exited(let status): self = .exited(Int32(status))
        case .signaled(let number): self = .signalled(Int32(number))
        }
    }
}
