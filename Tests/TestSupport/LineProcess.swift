package import Subprocess
import Support
import Synchronization

/// A child process that a test talks to in lines: what it writes to standard output is read line by line, lines are
/// sent to its standard input. Standard error is kept and shown when something fails.
///
/// The process sees end-of-file when the body of ``run(_:_:environment:_:)`` ends, and when this process dies; then it
/// is expected to exit. One that does not is ended with SIGTERM and SIGKILL.
package final class LineProcess: Sendable {
    private let command: [String]
    private let execution: Execution<CustomWriteInput, SequenceOutput, SequenceOutput>
    private let lines = LineQueue()
    private let errorText = Mutex("")

    private init(command: [String], execution: Execution<CustomWriteInput, SequenceOutput, SequenceOutput>) {
        self.command = command
        self.execution = execution
    }

    /// Starts a program, runs `body` with it, and ends it.
    ///
    /// - Throws: What `body` throws, with the process's standard error added, and ``CommandFailure`` when the process
    ///   exits by itself with another status than 0.
    package static func run<Result: Sendable>(
        _ executable: String,
        _ arguments: [String],
        environment: [String: String?] = [:],
        _ body: (LineProcess) async throws -> Result
    ) async throws -> Result {
        let command = [executable] + arguments
        let ended = Mutex<LineProcess?>(nil)
        let outcome = try await Subprocess.run(
            .named(executable),
            arguments: Arguments(arguments),
            environment: .inherit.adding(environment),
            input: .inputWriter,
            output: .sequence,
            error: .sequence
        ) { execution in
            let process = LineProcess(command: command, execution: execution)
            ended.withLock { $0 = process }
            return try await process.serve(body)
        }
        let wasTornDown = outcome.closureResult.wasTornDown
        guard wasTornDown || outcome.terminationStatus.isSuccess else {
            throw CommandFailure(
                command: command,
                status: outcome.terminationStatus.description,
                standardError: ended.withLock { $0?.standardError ?? "" }
            )
        }
        return outcome.closureResult.value
    }

    /// The process id, for signals and `/proc`.
    package var processIdentifier: Int32 { execution.processIdentifier.value }

    /// What the process has written to standard error so far.
    package var standardError: String { errorText.withLock { $0 } }

    /// Sends one line; the line break is added.
    package func send(_ line: String) async throws {
        do {
            _ = try await execution.standardInputWriter.write(line + "\n")
        } catch {
            throw failure("cannot be written to (\(error))")
        }
    }

    /// Waits for the next line; longer than `timeout` under a sanitizer.
    ///
    /// - Throws: ``CommandFailure`` with the process's standard error at its end and when `timeout` is over;
    ///   `CancellationError`.
    package func readLine(timeout: Duration = .seconds(30)) async throws -> String {
        let lines = lines
        let timeout = timeout * Sanitizer.slowness
        do {
            if let line = try await withDeadline(timeout, { try await lines.next() }) { return line }
        } catch is DeadlineExceeded {
            throw failure("printed no line within \(timeout)")
        }
        throw failure("ended")
    }

    /// Sends a line and waits for the next one.
    package func ask(_ line: String, timeout: Duration = .seconds(30)) async throws -> String {
        try await send(line)
        return try await readLine(timeout: timeout)
    }

    /// Sends a signal, as SIGKILL to see what happens when a peer dies.
    package func signal(_ signal: Signal) throws {
        try execution.send(signal: signal)
    }

    private struct Outcome<Value: Sendable>: Sendable {
        var value: Value
        var wasTornDown: Bool
    }

    private func serve<Value: Sendable>(_ body: (LineProcess) async throws -> Value) async throws -> Outcome<Value> {
        // Both readers end when the process closes its output, at the latest when it is killed below.
        async let output: Void = readOutput()
        async let errors: Void = readErrors()
        let result: Swift.Result<Value, any Error>
        do {
            result = .success(try await body(self))
        } catch {
            result = .failure(error)
        }
        let wasTornDown = await end()
        await output
        await errors
        switch result {
        case .success(let value): return Outcome(value: value, wasTornDown: wasTornDown)
        case .failure(let error as CommandFailure): throw error
        case .failure(let error as CancellationError): throw error
        case .failure(let error): throw failure("its test failed with: \(error)")
        }
    }

    /// Closes standard input and waits for the process to close its output; tears it down if it does not.
    private func end() async -> Bool {
        try? await execution.standardInputWriter.finish()
        let lines = lines
        do {
            try await withDeadline(.seconds(5)) {
                while try await lines.next() != nil {}
            }
            return false
        } catch {
            await execution.teardown(using: [.gracefulShutDown(allowedDurationToNextStep: .seconds(5))])
            return true
        }
    }

    private func readOutput() async {
        do {
            for try await line in execution.standardOutput.strings() { lines.append(line.withoutLineBreak) }
        } catch {
            errorText.withLock { $0 += "(standard output: \(error))\n" }
        }
        lines.finish()
    }

    private func readErrors() async {
        do {
            for try await line in execution.standardError.strings() {
                errorText.withLock { text in
                    if text.utf8.count < 64 << 20 { text += line.withoutLineBreak + "\n" }
                }
            }
        } catch {
            errorText.withLock { $0 += "(standard error: \(error))\n" }
        }
    }

    private func failure(_ status: String) -> CommandFailure {
        CommandFailure(command: command, status: status, standardError: standardError)
    }
}

extension String {
    fileprivate var withoutLineBreak: String {
        hasSuffix("\n") ? String(dropLast()) : self
    }
}
