import Foundation
package import Subprocess
import Synchronization

/// The built `vmopsd` as a process, with files and, unless told otherwise, a virtual host of its own. It can be killed
/// and started again any number of times while its files stay.
package final class DaemonProcess: Sendable {
    /// Holds the configuration file and everything the daemon writes; removed at the end.
    package let directory: String
    /// The transport URL it was configured with.
    package let url: String

    private let state: Mutex<State>
    private let starts: AsyncStream<Life>.Continuation

    private struct State {
        var settings: DaemonSettings
        var lives: [Life] = []
    }

    private init(
        settings: DaemonSettings,
        url: String,
        directory: String,
        starts: AsyncStream<Life>.Continuation
    ) {
        self.directory = directory
        self.url = url
        self.starts = starts
        state = Mutex(State(settings: settings))
    }

    /// Starts a daemon, waits until it serves, runs `body`, and ends it with SIGTERM.
    ///
    /// - Parameters:
    ///   - waitsForService: Otherwise `body` begins as soon as the process runs, as for one that is not to find its
    ///     broker.
    ///   - prepare: Called with the daemon's directory before its first start.
    /// - Throws: What `body` throws; ``ConditionNotMet`` with the daemon's log when it does not come into service.
    package static func run<Result: Sendable>(
        _ settings: DaemonSettings = DaemonSettings(),
        waitsForService: Bool = true,
        prepare: @Sendable (_ directory: String) async throws -> Void = { _ in },
        _ body: @escaping @Sendable (DaemonProcess) async throws -> Result
    ) async throws -> Result {
        try await withTemporaryDirectory { directory in
            try await prepare(directory)
            if let url = settings.url {
                return try await run(settings, url, directory, waitsForService, body)
            }
            return try await TestBroker.withVirtualHost { url in
                try await run(settings, url, directory, waitsForService, body)
            }
        }
    }

    private static func run<Result: Sendable>(
        _ settings: DaemonSettings,
        _ url: String,
        _ directory: String,
        _ waitsForService: Bool,
        _ body: @escaping @Sendable (DaemonProcess) async throws -> Result
    ) async throws -> Result {
        let (lives, starts) = AsyncStream.makeStream(of: Life.self)
        let daemon = DaemonProcess(settings: settings, url: url, directory: directory, starts: starts)
        return try await withThrowingTaskGroup(of: Result?.self) { group in
            group.addTask {
                for await life in lives { await life.run() }
                return nil
            }
            group.addTask {
                defer { starts.finish() }
                do {
                    try await daemon.start(waitsForService: waitsForService)
                    let result = try await body(daemon)
                    try await daemon.terminate()
                    return result
                } catch {
                    try? await daemon.kill()
                    throw DaemonFailure(cause: error, log: daemon.log)
                }
            }
            var result: Result?
            for try await value in group { result = value ?? result }
            guard let result else { throw CancellationError() }
            return result
        }
    }

    /// The virtual host of ``url``, not percent-encoded.
    package var virtualHost: String {
        let path = URLComponents(string: url)?.percentEncodedPath.dropFirst() ?? ""
        return path.isEmpty ? "/" : (String(path).removingPercentEncoding ?? String(path))
    }

    /// Where the hosts' files are: `<statePath>/<host>/…`.
    package var statePath: String { directory + "/state" }

    /// The UNIX socket of the admin endpoint.
    package var adminSocket: String { directory + "/admin.sock" }

    /// The configuration that the next start, or a reload, reads.
    package var settings: DaemonSettings {
        get { state.withLock { $0.settings } }
        set { state.withLock { $0.settings = newValue } }
    }

    /// Starts the daemon, after it ended, with the present ``settings``.
    package func start(waitsForService: Bool = true) async throws {
        try writeConfiguration()
        let settings = settings
        let command = settings.command.map { $0.replacing("%", with: directory) }
        let life = Life(
            program: command.first ?? Checkout.program("vmopsd"),
            arguments: command.dropFirst() + ["--config-file", configurationFile],
            environment: settings.environment
        )
        state.withLock { $0.lives.append(life) }
        starts.yield(life)
        try await life.untilStarted()
        guard waitsForService else { return }
        try await waitForService()
    }

    /// Waits until the daemon that runs now consumes.
    package func waitForService() async throws {
        try await waitForLog(" serving")
    }

    /// Waits until the daemon that runs now, or ran last, has logged a line with `text`.
    ///
    /// - Throws: ``ConditionNotMet`` when it ends or a minute passes before.
    @discardableResult
    package func waitForLog(_ text: String, timeout: Duration = .seconds(60)) async throws -> String {
        let life = try current
        var found: String?
        try await eventually(timeout: timeout, "a log line with '\(text)'") {
            let hasEnded = life.hasEnded
            found = life.lines.first { $0.contains(text) }
            if found == nil, hasEnded { throw ConditionNotMet(description: "vmopsd ended (\(life.ending))") }
            return found != nil
        }
        return found ?? ""
    }

    /// Sends SIGTERM and waits for the end.
    ///
    /// - Throws: ``ConditionNotMet`` when it exits with another status than 0; `CommandFailure` never.
    package func terminate() async throws {
        let life = try current
        guard !life.hasEnded else { return }
        try life.signal(.terminate)
        try await life.untilEnded()
        guard life.ending == "0" else { throw ConditionNotMet(description: "vmopsd ended with \(life.ending)") }
    }

    /// Sends SIGKILL and waits for the end. Does nothing when it has ended.
    package func kill() async throws {
        guard let life = try? current, !life.hasEnded else { return }
        try life.signal(.kill)
        try await life.untilEnded()
    }

    /// ``terminate()`` and ``start(waitsForService:)``.
    package func restart() async throws {
        try await terminate()
        try await start()
    }

    /// Sends a signal, as SIGHUP for a reload after ``writeConfiguration()``.
    package func signal(_ signal: Signal) throws { try current.signal(signal) }

    /// Waits until the daemon ends by itself and returns its exit status as text.
    package func untilEnded() async throws -> String {
        let life = try current
        try await life.untilEnded()
        return life.ending
    }

    /// The process id of the daemon that runs now.
    package var processIdentifier: Int32? { try? current.processIdentifier }

    /// What all its lives have logged so far.
    package var log: String { logLines.joined(separator: "\n") }

    /// The lines that all its lives have logged so far.
    package var logLines: [String] { state.withLock { $0.lives }.flatMap(\.lines) }

    /// Writes the configuration file from ``settings``.
    package func writeConfiguration() throws {
        try Data(settings.file(url: url, directory: directory).utf8)
            .write(to: URL(filePath: configurationFile), options: .atomic)
    }

    /// The file that `--config-file` names.
    package var configurationFile: String { directory + "/vmops.conf" }

    private var current: Life {
        get throws {
            guard let life = state.withLock({ $0.lives.last }) else {
                throw ConditionNotMet(description: "vmopsd was not started")
            }
            return life
        }
    }
}

/// What a test with a ``DaemonProcess`` ended with, and what the daemon logged.
package struct DaemonFailure: Error, CustomStringConvertible {
    package let cause: any Error
    package let log: String

    package var description: String { "\(cause)\nvmopsd logged:\n\(log.suffix(20_000))" }
}
