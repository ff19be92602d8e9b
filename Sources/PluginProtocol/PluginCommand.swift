import Glibc

/// A plugin that is started: one program, its arguments, and all of its environment.
package struct PluginCommand: Sendable, Hashable {
    /// Found like this when the worker has no `PATH`.
    package static let standardPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

    /// An absolute path.
    package var executable: String
    package var arguments: [String]
    /// Name and value; `VMOPS_PLUGIN=1` is added.
    package var environment: [String: String]
    package var workingDirectory: String

    package init(
        executable: String,
        arguments: [String] = [],
        environment: [String: String] = PluginCommand.cleanEnvironment(),
        workingDirectory: String = "/"
    ) {
        self.executable = executable
        self.arguments = arguments
        self.environment = environment
        self.workingDirectory = workingDirectory
    }

    /// The first word is a path, or a name that is looked for in `PATH`. Looks at files.
    ///
    /// - Throws: ``PluginError/Code/start`` when there is no such program.
    package init(
        words: [String],
        environment: [String: String] = PluginCommand.cleanEnvironment(),
        workingDirectory: String = "/"
    ) throws(PluginError) {
        guard let name = words.first, !name.isEmpty else { throw PluginError(.start, "no command for the plugin") }
        let found = Self.find(name, in: environment["PATH"] ?? Self.standardPath)
        guard let found else { throw PluginError(.start, "there is no program \(name)") }
        self.init(
            executable: found,
            arguments: Array(words.dropFirst()),
            environment: environment,
            workingDirectory: workingDirectory
        )
    }

    /// What a plugin has when nothing else is configured (plugin protocol, section 1).
    package static func cleanEnvironment(home: String = "/") -> [String: String] {
        ["PATH": getenv("PATH").map { String(cString: $0) } ?? standardPath, "LANG": "C.UTF-8", "HOME": home]
    }

    package static func find(_ name: String, in path: String) -> String? {
        if name.hasPrefix("/") { return access(name, X_OK) == 0 ? name : nil }
        if name.contains("/") { return nil }
        return path.split(separator: ":").lazy.filter { $0.hasPrefix("/") }.map { "\($0)/\(name)" }
            .first { access($0, X_OK) == 0 }
    }
}
