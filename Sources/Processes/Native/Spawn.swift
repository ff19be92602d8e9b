import CSystemShims
import Glibc
import Support

/// The door to `posix_spawn` and `waitid`.
enum Spawn {
    /// Sources of passed descriptors are duplicated to numbers from here on, out of the way of all targets.
    static let firstDuplicate: Int32 = 100

    /// Starts the program.
    ///
    /// - Returns: its pid; it is our child.
    static func run(_ command: DetachedCommand) throws(ProcessError) -> Int32 {
        try check(command)
        var held: [Int32] = []
        defer { for descriptor in held { close(descriptor) } }
        // Duplicated: number 0, 1 or 2 would be overwritten before it is used.
        let streams = try standardStreams(command, &held)
        var sources: [Int32] = []
        for passed in command.passedDescriptors { sources.append(try duplicate(passed.source, &held)) }

        var pid: pid_t = 0
        let status = withCStrings([command.executable] + command.arguments) { arguments in
            withCStrings(command.environment) { environment in
                vmops_spawn_detached(
                    &pid,
                    command.executable,
                    arguments,
                    environment,
                    command.workingDirectory,
                    streams.input,
                    streams.output,
                    streams.error,
                    sources,
                    command.passedDescriptors.map(\.target),
                    Int32(sources.count)
                )
            }
        }
        guard status == 0 else {
            let code: ProcessError.Code =
                [EAGAIN, ENOMEM, EMFILE, ENFILE].contains(status) ? .resources : .execution
            let cause = SystemCallError("posix_spawn", status, path: command.executable)
            throw ProcessError(code, "\(command.executable) cannot be started", cause: cause)
        }
        return pid
    }

    private static func standardStreams(
        _ command: DetachedCommand,
        _ held: inout [Int32]
    ) throws(ProcessError) -> DetachedCommand.StandardStreams {
        if let streams = command.standardStreams {
            return DetachedCommand.StandardStreams(
                input: try duplicate(streams.input, &held),
                output: try duplicate(streams.output, &held),
                error: try duplicate(streams.error, &held)
            )
        }
        let flags = O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NOCTTY
        let output = open(command.outputPath, flags, 0o600)
        guard output >= 0 else {
            let cause = SystemCallError("open", errno, path: command.outputPath)
            throw ProcessError(.output, "the output of \(command.executable) has no place", cause: cause)
        }
        held.append(output)
        let high = try duplicate(output, &held)
        return DetachedCommand.StandardStreams(input: -1, output: high, error: high)
    }

    /// Takes the end of a child of ours without waiting; `nil` if it still runs.
    static func reap(_ pid: Int32) -> ProcessEnd? {
        var status: Int32 = 0
        while true {
            let found = waitpid(pid, &status, WNOHANG)
            if found == pid { break }
            if found == 0 { return nil }
            if errno != EINTR { return .unknown }
        }
        let signal = status & 0x7F
        return signal == 0 ? .exited(status >> 8 & 0xFF) : .signalled(signal)
    }

    /// Kills what a child of ours that has not been reaped left in its process group.
    static func endGroup(_ pid: Int32) { kill(-pid, SIGKILL) }

    /// Ends a child of ours that has not been reaped, and reaps it.
    static func abandon(_ pid: Int32) {
        kill(pid, SIGKILL)
        while waitpid(pid, nil, 0) < 0 && errno == EINTR {}
    }

    private static func duplicate(_ descriptor: Int32, _ held: inout [Int32]) throws(ProcessError) -> Int32 {
        let copy = vmops_duplicate(descriptor, firstDuplicate)
        guard copy >= 0 else {
            let cause = SystemCallError("fcntl", errno)
            throw ProcessError(
                cause.number == EBADF ? .invalid : .resources,
                "descriptor \(descriptor) cannot be passed",
                cause: cause
            )
        }
        held.append(copy)
        return copy
    }

    private static func check(_ command: DetachedCommand) throws(ProcessError) {
        let texts =
            [command.executable, command.workingDirectory, command.outputPath] + command.arguments
            + command.environment
        guard texts.allSatisfy({ !$0.utf8.contains(0) }) else {
            throw ProcessError(.invalid, "a NUL in the command of \(command.executable)")
        }
        guard command.executable.hasPrefix("/") else {
            throw ProcessError(.invalid, "\(command.executable) is no absolute path")
        }
        let targets = command.passedDescriptors.map(\.target)
        guard Set(targets).count == targets.count, targets.allSatisfy({ (3..<firstDuplicate).contains($0) }) else {
            throw ProcessError(.invalid, "descriptors \(targets) for \(command.executable)")
        }
    }

    /// Calls `body` with a NULL-terminated vector of copies, which are freed afterwards.
    private static func withCStrings<Result>(
        _ texts: [String],
        _ body: ([UnsafeMutablePointer<CChar>?]) -> Result
    ) -> Result {
        let copies = texts.map { strdup($0) }
        defer { for copy in copies { free(copy) } }
        return body(copies + [nil])
    }
}
