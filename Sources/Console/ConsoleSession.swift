import Glibc
import HostBackend
import Logging
import Support
import Synchronization

/// The background task of one running machine: opens its endpoint, reads, opens again when the stream ends, until
/// closed.
///
/// ``run()`` is called once, by the service's task group. Cancelling it closes: what the kernel already holds is read,
/// nothing is waited for.
final class ConsoleSession: Sendable {
    typealias Open = @Sendable () async throws -> ConsoleEndpoint

    private enum Opening: Sendable {
        case opened(ConsoleEndpoint)
        case failed(any Error)
        case closing
    }

    private struct State {
        var machine: ConsoleStateMachine
        var lastError: String?
        var retry = ConsoleSignal()
        var isHasty = false
        var closingSince: Duration?
        var isAbandoned = false
    }

    /// For draining at once.
    private static let hastyQuiet = Duration.milliseconds(2)

    let uuid: InstanceUUID
    let log: ConsoleLog
    private let open: Open
    private let reactor: Reactor
    private let logger: Logger
    private let onReconnect: @Sendable () -> Void
    private let closing = ConsoleSignal()
    private let finished = ConsoleSignal()
    private let state: Mutex<State>

    init(
        uuid: InstanceUUID,
        log: ConsoleLog,
        reactor: Reactor,
        logger: Logger,
        onReconnect: @escaping @Sendable () -> Void,
        open: @escaping Open
    ) {
        self.uuid = uuid
        self.log = log
        self.open = open
        self.reactor = reactor
        self.logger = logger
        self.onReconnect = onReconnect
        state = Mutex(State(machine: ConsoleStateMachine(log.settings)))
    }

    var isOver: Bool { closing.isSet || finished.isSet }

    var snapshot: (state: ConsoleState, reconnects: Int, hasNoConsole: Bool, lastError: String?) {
        state.withLock { state in
            (state.machine.state, state.machine.reconnects, state.machine.hasNoConsole, state.lastError)
        }
    }

    /// Connects at once instead of at the end of a pause.
    func retryNow() {
        let retry = state.withLock { $0.retry }
        retry.set()
    }

    /// Asks for the end; `hasty` does not wait for what the host may still deliver.
    func close(hasty: Bool) {
        state.withLock { state in
            state.isHasty = state.isHasty || hasty
            if state.closingSince == nil { state.closingSince = MonotonicClock.now }
        }
        closing.set()
        retryNow()
    }

    /// Waits for the end, at most `limit`: an endpoint that hangs beyond it is left to itself, and nothing that it may
    /// still deliver is taken.
    func waitUntilFinished(limit: Duration) async {
        if await !finished.wait(limit: limit) { state.withLock { $0.isAbandoned = true } }
    }

    /// What is left of the drain timeout; nothing for a hasty end.
    private var timeToDrain: Duration {
        let timeout = log.settings.drainTimeout
        return state.withLock { state in
            if state.isHasty { return .zero }
            return max(.zero, timeout - (state.closingSince.map { MonotonicClock.now - $0 } ?? .zero))
        }
    }

    private var isAbandoned: Bool { state.withLock { $0.isAbandoned } }

    // MARK: - The task

    func run() async {
        await withTaskCancellationHandler {
            // Closed before it began: the machine may have printed all the same, so there is still time to connect.
            var action = closing.isSet && timeToDrain == .zero ? send(.closeRequested) : send(.start)
            while true {
                switch action {
                case .connect: action = await connect()
                case .pause(let duration): action = await pause(duration)
                case .none, .read, .drain, .finish:
                    finished.set()
                    return
                }
            }
        } onCancel: {
            close(hasty: true)
        }
    }

    private func send(_ event: ConsoleStateMachine.Event) -> ConsoleStateMachine.Action {
        state.withLock { $0.machine.event(event, now: MonotonicClock.now) }
    }

    /// Opens the endpoint and reads it to its end.
    private func connect() async -> ConsoleStateMachine.Action {
        switch await openEndpoint() {
        case .closing:
            return send(.closeRequested)
        case .failed(let error):
            let forGood = (error as? BackendError)?.code == .unimplemented
            note(error, forGood ? "machine has no console" : "console cannot be opened")
            return send(.openFailed(forGood: forGood))
        case .opened(let endpoint):
            let before = snapshot.reconnects
            _ = send(.opened)
            if snapshot.reconnects > before { onReconnect() }
            let request = closing.then { _ = self.send(.closeRequested) }
            let (end, bytes) = await read(endpoint)
            closing.forget(request)
            switch end {
            case .failed(let error): note(error, "console was lost")
            case .timeout: note(nil, "console did not end within the drain timeout")
            case .endOfStream, .quiet: state.withLock { $0.lastError = nil }
            }
            return send(.ended(bytes: bytes))
        }
    }

    private func openEndpoint() async -> Opening {
        await withTaskGroup(of: Opening.self) { group in
            group.addTask {
                do { return .opened(try await self.open()) } catch { return .failed(error) }
            }
            group.addTask {
                await self.closing.wait()
                if self.closing.isSet { try? await Task.sleep(for: self.timeToDrain) }
                return .closing
            }
            let first = await group.next() ?? .closing
            group.cancelAll()
            guard case .closing = first else { return first }
            // An endpoint that came too late still has to be closed.
            while let late = await group.next() {
                if case .opened(let endpoint) = late { await Self.discard(endpoint) }
            }
            return .closing
        }
    }

    private static func discard(_ endpoint: ConsoleEndpoint) async {
        switch endpoint {
        case .descriptor(let descriptor): Glibc.close(descriptor.fileDescriptor)
        case .stream(let stream): await stream.close()
        }
    }

    private func read(_ endpoint: ConsoleEndpoint) async -> (ConsoleEnd, bytes: Int) {
        switch endpoint {
        case .descriptor(let descriptor):
            let reader = DescriptorReader(descriptor, into: log, reactor: reactor)
            let request = closing.then {
                let limit = max(self.timeToDrain, Self.hastyQuiet)
                reader.drain(quiet: min(self.log.settings.drainQuiet, limit), limit: limit)
            }
            let end = await reader.run()
            closing.forget(request)
            return (end, reader.bytes)
        case .stream(let stream):
            let reader = StreamReader(stream, into: log) { self.isAbandoned }
            let end = await reader.run(closing: closing) { self.timeToDrain }
            return (end, reader.bytes)
        }
    }

    private func pause(_ duration: Duration) async -> ConsoleStateMachine.Action {
        let retry = state.withLock { state in
            state.retry = ConsoleSignal()
            return state.retry
        }
        if !closing.isSet { await retry.wait(limit: duration) }
        return send(closing.isSet ? .closeRequested : .pauseOver)
    }

    private func note(_ error: (any Error)?, _ message: Logger.Message) {
        state.withLock { $0.lastError = error.map { "\(message): \($0)" } ?? "\(message)" }
        logger.debug(message, metadata: ["instance": "\(uuid)", "error": "\(error.map { "\($0)" } ?? "none")"])
    }
}
