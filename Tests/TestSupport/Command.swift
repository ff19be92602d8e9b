import Subprocess
import SystemPackage

/// A program that failed: what was run, how it ended and what it said.
package struct CommandFailure: Error, CustomStringConvertible {
    package let command: [String]
    package let status: String
    package let standardError: String

    package var description: String {
        "\(command.joined(separator: " ")): \(status)\n\(standardError)"
    }
}

/// Runs a program to its end and returns what it printed, without the last line break.
///
/// - Parameter environment: Variables added to those of this process; `nil` removes one.
/// - Throws: ``CommandFailure`` unless it exits with 0, or when it prints more than 16 MiB.
package func runCommand(
    _ executable: String,
    _ arguments: [String],
    environment: [String: String?] = [:]
) async throws -> String {
    let result = try await Subprocess.run(
        .named(executable),
        arguments: Arguments(arguments),
        environment: .inherit.adding(environment),
        output: .string(limit: 16 << 20),
        error: .string(limit: 16 << 20)
    )
    guard result.terminationStatus.isSuccess else {
        throw CommandFailure(
            command: [executable] + arguments,
            status: result.terminationStatus.description,
            standardError: result.standardError
        )
    }
    var output = result.standardOutput
    if output.hasSuffix("\n") { output.removeLast() }
    return output
}

extension Executable {
    /// A program by its path if the name has a slash, else one that is looked up in `PATH`.
    static func named(_ name: String) -> Executable {
        name.contains("/") ? .path(FilePath(name)) : .name(name)
    }
}

extension Environment {
    /// These variables with some added, changed or (`nil`) removed.
    func adding(_ variables: [String: String?]) -> Environment {
        var changes: [Key: String?] = [:]
        for (name, value) in variables {
            guard let key = Key(rawValue: name) else { continue }
            changes[key] = .some(value)
        }
        return updating(changes)
    }
}
