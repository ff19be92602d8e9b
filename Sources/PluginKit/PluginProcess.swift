import Glibc
import Subprocess
import Support
import Synchronization
import SystemPackage

/// A plugin's process, in a group of its own, with pipes for its three standard streams.
///
/// What it says on standard error is kept, at most the last 256 KiB.
final class PluginProcess: Sendable {
    enum End: Sendable, Hashable, CustomStringConvertible {
        case exited(Int32)
        case signalled(Int32)
        case notStarted(String)

        var description: String {
            switch self {
            case .exited(let status): "it exited with status \(status)"
            case .signalled(let number): "signal \(number) ended it"
            case .notStarted(let why): "it could not be started: \(why)"
            }
        }
    }

    private struct State {
        var pid: Int32?
        var end: End?
        var inputIsOpen = true
    }

    /// Ours to write to.
    let input: Int32
    /// Ours to read from; closed by who reads it.
    let output: Int32
    let errors: ErrorText
    private let state = Mutex(State())
    /// Waits for the process' end; ``end(within:)`` sees to that and waits for the task.
    private let waiting = Mutex<Task<Void, Never>?>(nil)

    /// Starts a program and returns when it runs, or cannot.
    ///
    /// - Parameter environment: all there is.
    init(_ command: [String], environment: [String: String], reactor: Reactor) async throws {
        let input = try Descriptors.pipe(ours: \.writing)
        let output = try Descriptors.pipe(ours: \.reading)
        let errors = try Descriptors.pipe(ours: \.reading)
        self.input = input.writing
        self.output = output.reading
        self.errors = ErrorText(errors.reading, reactor: reactor)
        self.errors.start()
        let task = Task { [weak self] in
            let end = await Self.run(command, environment, input.reading, output.writing, errors.writing) { pid in
                self?.state.withLock { $0.pid = pid }
            }
            self?.state.withLock { $0.end = end }
        }
        waiting.withLock { $0 = task }
        while state.withLock({ $0.pid == nil && $0.end == nil }) { try await Task.sleep(for: .milliseconds(1)) }
    }

    deinit {
        closeInput()
        kill()
    }

    private static func run(
        _ command: [String],
        _ environment: [String: String],
        _ input: Int32,
        _ output: Int32,
        _ errors: Int32,
        started: (Int32) -> Void
    ) async -> End {
        var options = PlatformOptions()
        options.processGroupID = 0
        do {
            let outcome = try await Subprocess.run(
                .program(of: command),
                arguments: Arguments(Array(command.dropFirst())),
                environment: .only(environment),
                platformOptions: options,
                input: .fileDescriptor(FileDescriptor(rawValue: input), closeAfterSpawningProcess: true),
                output: .fileDescriptor(FileDescriptor(rawValue: output), closeAfterSpawningProcess: true),
                error: .fileDescriptor(FileDescriptor(rawValue: errors), closeAfterSpawningProcess: true)
            ) { execution in
                started(execution.processIdentifier.value)
            }
            return End(outcome.terminationStatus)
        } catch {
            return .notStarted("\(error)")
        }
    }

    /// How it ended; `nil` while it runs.
    var ending: End? { state.withLock { $0.end } }

    /// End of file on its standard input.
    func closeInput() {
        state.withLock { state in
            if state.inputIsOpen { close(input) }
            state.inputIsOpen = false
        }
    }

    /// SIGKILL for the whole group.
    func kill() { signal(SIGKILL) }

    func signal(_ number: Int32) {
        state.withLock { state in
            if state.end == nil, let pid = state.pid { _ = Glibc.kill(-pid, number) }
        }
    }

    /// Writes what there is room for; `nil` once nobody reads any more.
    func write(_ bytes: ArraySlice<UInt8>) -> Int? {
        state.withLock { $0.inputIsOpen ? Descriptors.write(input, bytes) : nil }
    }

    /// Waits for the end, and kills it when that does not come in time.
    ///
    /// - Returns: how it ended by itself; `nil` when it had to be killed.
    @discardableResult
    func end(within limit: Duration) async -> End? {
        let deadline = ContinuousClock.now + limit
        while ending == nil, .now < deadline, !Task.isCancelled { try? await Task.sleep(for: .milliseconds(5)) }
        let byItself = ending
        kill()
        await waiting.withLock { $0 }?.value
        errors.stop()
        return byItself
    }
}

/// What a process says on standard error.
final class ErrorText: ReactorHandler {
    private static let limit = 256 << 10

    private let descriptor: Int32
    private let reactor: Reactor
    private let token = ReactorToken()
    private let bytes = Mutex<[UInt8]>([])
    private let isStopped = Mutex(false)

    init(_ descriptor: Int32, reactor: Reactor) {
        self.descriptor = descriptor
        self.reactor = reactor
    }

    func start() { reactor.add(token, descriptor, self) }

    /// Gives up reading; what was read stays.
    func stop() {
        let isFirst = isStopped.withLock { stopped in
            defer { stopped = true }
            return !stopped
        }
        guard isFirst else { return }
        reactor.remove(token) { [self] in
            // What came after the last look.
            take()
            close(descriptor)
        }
    }

    var text: String { bytes.withLock { String(decoding: $0, as: UTF8.self) } }

    func ready() -> ReactorVerdict { take() ? .again : .remove }

    func refused(_ error: SystemCallError) {}

    /// False at the end.
    @discardableResult
    private func take() -> Bool {
        guard let more = Descriptors.read(descriptor) else { return true }
        bytes.withLock { bytes in
            bytes += more
            if bytes.count > Self.limit { bytes.removeFirst(bytes.count - Self.limit) }
        }
        return !more.isEmpty
    }
}
