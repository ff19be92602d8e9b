import Glibc
package import HostBackend
package import Logging
import Subprocess
import Support
import SystemPackage

/// Finds and runs the programs that work on images. No shell: arguments are arrays, and each argument that is a path
/// starts with `/`, so that none can pass for an option or a protocol.
package struct Tools: Sendable {
    package struct Tool: Sendable, Hashable {
        /// A name to look for, or a path.
        package var command: String
        /// The Debian package to install when it is missing.
        package var package: String

        package init(command: String, package: String) {
            self.command = command
            self.package = package
        }
    }

    /// What a program that reads untrusted data may use, enforced by the kernel.
    package struct Confinement: Sendable, Hashable {
        /// Processor time; the program is killed at its end.
        package var cpuSeconds: Int
        package var addressSpaceBytes: UInt64
        /// The file that the program reads as its standard input, `/proc/self/fd/0`.
        package var input: String

        package init(input: String, cpuSeconds: Int = 30, addressSpaceBytes: UInt64 = 1 << 30) {
            self.input = input
            self.cpuSeconds = cpuSeconds
            self.addressSpaceBytes = addressSpaceBytes
        }
    }

    private static let limiter = Tool(command: "prlimit", package: "util-linux")
    private static let demoter = Tool(command: "setpriv", package: "util-linux")

    private static let outputLimit = 256 << 10

    private let directories: [String]
    private let logger: Logger

    /// - Parameter searchPath: directories separated by `:`; `nil` = the environment's PATH.
    package init(searchPath: String?, logger: Logger) {
        let path = searchPath ?? getenv("PATH").map { String(cString: $0) } ?? ""
        self.directories = path.split(separator: ":").map(String.init).filter { $0.hasPrefix("/") }
        self.logger = logger
    }

    /// The program's path, `nil` when it is not there.
    package func find(_ tool: Tool) -> String? {
        if tool.command.contains("/") { return access(tool.command, X_OK) == 0 ? tool.command : nil }
        return directories.lazy.map { $0 + "/" + tool.command }.first { access($0, X_OK) == 0 }
    }

    /// Runs the program and waits, at most `deadline`; then, or when the caller is cancelled, it is terminated.
    ///
    /// - Returns: its standard output, at most 256 KiB.
    /// - Throws: `unimplemented` naming the package when the program is missing; `timeout`; `cancelled`;
    ///   `resourceExhausted` when it found no room; `internal` with what it said otherwise.
    package func run(
        _ tool: Tool,
        _ arguments: [String],
        confinement: Confinement? = nil,
        deadline: Duration
    ) async throws(BackendError) -> String {
        var path = try require(tool)
        var arguments = arguments
        if let confinement {
            arguments = try confined(path, arguments, confinement)
            path = try require(Self.limiter)
        }
        return try await run(tool, path, arguments, confinement, deadline)
    }

    /// The arguments with which ``limiter`` runs the program in its confinement.
    ///
    /// The user is changed by a program too: between fork and exec of a process with threads, `setuid` may wait for a
    /// lock that nobody will ever release.
    private func confined(
        _ path: String,
        _ arguments: [String],
        _ confinement: Confinement
    ) throws(BackendError) -> [String] {
        var command = [path] + arguments
        // `nobody` opens the file anew through /proc: the way there may be closed to it, the file must not be.
        if geteuid() == 0, try FileCalls.status(confinement.input)?.isPublic == true {
            let options = ["--reuid=65534", "--regid=65534", "--clear-groups", "--no-new-privs", "--"]
            command = [try require(Self.demoter)] + options + command
        }
        return ["--cpu=\(confinement.cpuSeconds)", "--as=\(confinement.addressSpaceBytes)", "--core=0", "--"] + command
    }

    private func require(_ tool: Tool) throws(BackendError) -> String {
        if let path = find(tool) { return path }
        throw BackendError(
            .unimplemented,
            "\(tool.command) is not installed on this host; install the package \(tool.package)"
        )
    }

    private func run(
        _ tool: Tool,
        _ path: String,
        _ arguments: [String],
        _ confinement: Confinement?,
        _ deadline: Duration
    ) async throws(BackendError) -> String {
        logger.debug("tool starts", metadata: ["tool": "\(path)", "arguments": "\(arguments)"])
        let outcome: (status: TerminationStatus, output: String, errors: String)
        do {
            outcome = try await withDeadline(deadline) { try await Self.execute(path, arguments, confinement) }
        } catch let error as BackendError {
            throw error
        } catch is DeadlineExceeded {
            throw BackendError(.timeout, "\(tool.command) did not end within \(deadline)")
        } catch is CancellationError {
            throw BackendError(.cancelled, "\(tool.command) was cancelled")
        } catch {
            if Task.isCancelled { throw BackendError(.cancelled, "\(tool.command) was cancelled") }
            throw BackendError(.internal, "\(tool.command) could not be run", cause: error)
        }
        if outcome.status == .exited(0) { return outcome.output }
        if Task.isCancelled { throw BackendError(.cancelled, "\(tool.command) was cancelled") }
        let words = String(outcome.errors.split(separator: "\n").suffix(3).joined(separator: "; ").prefix(600))
        let code: BackendError.Code = words.contains("No space left on device") ? .resourceExhausted : .internal
        throw BackendError(code, "\(tool.command) failed (\(outcome.status)): \(words)")
    }

    private static func execute(
        _ path: String,
        _ arguments: [String],
        _ confinement: Confinement?
    ) async throws -> (status: TerminationStatus, output: String, errors: String) {
        var options = PlatformOptions()
        options.processGroupID = 0
        options.teardownSequence = [
            .send(signal: .terminate, toProcessGroup: true, allowedDurationToNextStep: .seconds(2))
        ]
        guard let confinement else { return try await execute(path, arguments, options, input: .none) }
        let file = try FileCalls.on(confinement.input) {
            try FileDescriptor.open(confinement.input, .readOnly, options: [.closeOnExec, .nonBlocking])
        }
        return try await execute(
            path,
            arguments,
            options,
            input: .fileDescriptor(file, closeAfterSpawningProcess: true)
        )
    }

    private static func execute<Input: InputProtocol>(
        _ path: String,
        _ arguments: [String],
        _ options: PlatformOptions,
        input: Input
    ) async throws -> (status: TerminationStatus, output: String, errors: String) {
        let result = try await Subprocess.run(
            .path(FilePath(path)),
            arguments: Arguments(arguments),
            environment: .custom(["LC_ALL": "C", "PATH": "/usr/sbin:/usr/bin:/sbin:/bin"]),
            platformOptions: options,
            input: input,
            output: .string(limit: outputLimit),
            error: .string(limit: outputLimit)
        )
        return (result.terminationStatus, result.standardOutput, result.standardError)
    }
}
