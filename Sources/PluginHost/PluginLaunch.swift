import Glibc
import HostBackend
import PluginProtocol
import Support

/// What a plugin is started with: the program checked, as another user, within limits.
struct PluginLaunch: Sendable {
    /// Computes a file's SHA-256 in hexadecimal digits.
    typealias Digest = @Sendable (String) async throws -> String

    let settings: PluginSettings
    let digest: Digest
    let stateDirectory: String

    /// - Throws: ``PluginError/Code/start`` when there is no such program, or its content is another.
    func command() async throws(PluginError) -> PluginCommand {
        let environment = PluginCommand.cleanEnvironment(home: stateDirectory)
            .merging(settings.environment) { $1 }
        var command = try PluginCommand(words: settings.command, environment: environment)
        try await check(command)
        // The user is changed by a program: between fork and exec of a process with threads, `setuid` may wait for a
        // lock that nobody will ever release.
        if let user = try user() {
            command = try wrapped(
                command,
                by: "setpriv",
                [
                    "--reuid", String(user.uid), "--regid", String(user.gid), "--clear-groups", "--no-new-privs",
                    "--inh-caps=-all", "--bounding-set=-all",
                ]
            )
        }
        var limits: [String] = []
        if settings.memoryLimit > 0 { limits.append("--as=\(settings.memoryLimit)") }
        if settings.fileLimit > 0 { limits.append("--nofile=\(settings.fileLimit)") }
        return limits.isEmpty ? command : try wrapped(command, by: "prlimit", limits + ["--core=0", "--"])
    }

    /// Who it runs as; `nil` = as we do.
    func user() throws(PluginError) -> PluginUser? {
        guard !settings.user.isEmpty else { return nil }
        guard let user = PluginUser(named: settings.user) else {
            throw PluginError(.start, "there is no user \(settings.user) for the plugin")
        }
        if user.uid == geteuid() { return nil }
        guard settings.shape == .socket || geteuid() == 0 else {
            throw PluginError(.start, "only root can run a plugin as user \(settings.user)")
        }
        return user
    }

    private func wrapped(
        _ command: PluginCommand,
        by program: String,
        _ options: [String]
    ) throws(PluginError) -> PluginCommand {
        guard let path = PluginCommand.find(program, in: PluginCommand.standardPath) else {
            throw PluginError(.start, "\(program), of the package util-linux, is needed to run this plugin")
        }
        var wrapped = command
        wrapped.executable = path
        wrapped.arguments = options + [command.executable] + command.arguments
        return wrapped
    }

    private func check(_ command: PluginCommand) async throws(PluginError) {
        for checksum in settings.checksums {
            let path = checksum.path ?? command.executable
            let found: String
            do {
                found = try await digest(path)
            } catch {
                throw PluginError(.start, "the checksum of \(path) cannot be computed: \(error)")
            }
            guard found.lowercased() == checksum.digits else {
                throw PluginError(.start, "the SHA-256 of \(path) is \(found), not \(checksum.digits): not started")
            }
        }
    }
}
