import Glibc
import JSONCodec
import Logging
import Support
import Synchronization

/// The connected socket, the conversation over it, and who waits for which answer.
///
/// What comes is read on the reactor's thread; commands are sent by whoever gives them, without waiting. Commands that
/// find the socket full wait in a bounded queue, which the reactor's thread empties as room comes.
final class QMPLink: ReactorHandler {
    typealias Answer = Result<JSONValue, QMPError>

    /// How many events wait for their reader; beyond it the oldest are dropped.
    static let eventLimit = 4096
    /// How long a full socket is left alone.
    private static let retryPause = Duration.milliseconds(5)

    private struct Waiter {
        var continuation: CheckedContinuation<Answer, Never>?
        /// Came before anybody waited.
        var early: Answer?
        var deadline: ContinuousClock.Instant
        let command: String
    }

    private struct State {
        var conversation = QMPConversation()
        var lines = QMPLines()
        var outbox = QMPOutbox()
        var waiters: [UInt64: Waiter] = [:]
        var closed: QMPError?
        var isRetrying = false
        /// The next look at the deadlines, if one is due.
        var nextLook: ContinuousClock.Instant?
    }

    let events: AsyncStream<QMPEvent>
    private let eventSink: AsyncStream<QMPEvent>.Continuation
    private let socket: MonitorSocket
    private let token = ReactorToken()
    private let reactor: Reactor
    private let logger: Logger
    private let state = Mutex(State())

    init(socket: MonitorSocket, reactor: Reactor, logger: Logger) {
        self.socket = socket
        self.reactor = reactor
        self.logger = logger
        (events, eventSink) = AsyncStream.makeStream(bufferingPolicy: .bufferingNewest(Self.eventLimit))
    }

    /// Begins to read; the negotiation's answer comes to ``QMPConversation/negotiation``.
    func start(deadline: Duration) {
        state.withLock { state in
            add(QMPConversation.negotiation, "qmp_capabilities", deadline, &state)
        }
        reactor.add(token, socket.descriptor, self)
    }

    var isOpen: Bool { state.withLock { $0.closed == nil && $0.conversation.isOpen } }

    // MARK: Commands

    /// Sends a command; its answer comes to the id.
    func send(
        _ command: String,
        _ arguments: JSONObject,
        descriptor: Int32?,
        isUrgent: Bool,
        deadline: Duration
    ) throws(QMPError) -> UInt64 {
        let sent: Result<UInt64, QMPError> = state.withLock { state in
            if let closed = state.closed { return .failure(closed) }
            guard let id = state.conversation.command() else {
                return .failure(QMPError(.timeout, "\(command) was not sent: too many commands have no answer"))
            }
            let fails = transmit(command, arguments, id: id, descriptor: descriptor ?? -1, isUrgent: isUrgent, &state)
            if let error = fails {
                state.conversation.withdraw(id)
                return .failure(error)
            }
            add(id, command, deadline, &state)
            return .success(id)
        }
        if case .failure(let error) = sent, error.code == .closed { close(error) }
        return try sent.get()
    }

    /// Waits for the answer to `id`, once.
    func answer(to id: UInt64) async -> Answer {
        await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                let answer = state.withLock { state -> Answer? in
                    guard var waiter = state.waiters[id] else {
                        return .failure(state.closed ?? QMPError(.closed, "the monitor's session has ended"))
                    }
                    if let early = waiter.early {
                        state.waiters[id] = nil
                        return early
                    }
                    waiter.continuation = continuation
                    state.waiters[id] = waiter
                    return nil
                }
                if let answer { continuation.resume(returning: answer) }
            }
        } onCancel: {
            let resume = state.withLock { state in
                let command = state.waiters[id]?.command ?? "command"
                return settle(id, .failure(QMPError(.cancelled, "\(command) was given up")), &state)
            }
            resume?()
        }
    }

    /// Ends the session; whoever waits gets `error`.
    func close(_ error: QMPError) {
        let resumes = state.withLock { state -> [() -> Void]? in
            guard state.closed == nil else { return nil }
            state.closed = error
            state.outbox.discard()
            return state.waiters.keys.compactMap { settle($0, .failure(error), &state) }
        }
        guard let resumes else { return }
        let socket = socket
        reactor.remove(token) { socket.close() }
        eventSink.finish()
        for resume in resumes { resume() }
    }

    private func transmit(
        _ command: String,
        _ arguments: JSONObject,
        id: UInt64,
        descriptor: Int32,
        isUrgent: Bool = false,
        _ state: inout State
    ) -> QMPError? {
        let verb = isUrgent && state.conversation.offersOutOfBand ? "exec-oob" : "execute"
        var message: JSONObject = [verb: .string(command)]
        if !arguments.isEmpty { message["arguments"] = .object(arguments) }
        message["id"] = .int(Int64(id))
        do {
            let bytes = try JSONWriter.bytes(of: .object(message), .compact) + [UInt8(ascii: "\n")]
            guard try state.outbox.send(bytes, descriptor: descriptor, on: socket) else {
                return QMPError(.timeout, "\(command) was not sent: the monitor does not read")
            }
        } catch let error as SystemCallError {
            if error.number == EBADF || error.number == EMFILE {
                return QMPError(.refused, "\(command) was not sent: \(error)")
            }
            return QMPError(.closed, "the monitor has closed: \(error)")
        } catch {
            return QMPError(.refused, "\(command) was not sent: \(error)")
        }
        if !state.outbox.isEmpty { retryLater(&state) }
        return nil
    }

    private func retryLater(_ state: inout State) {
        guard !state.isRetrying else { return }
        state.isRetrying = true
        reactor.schedule(after: Self.retryPause) { [weak self] in self?.flush() }
    }

    private func flush() {
        let error = state.withLock { state -> SystemCallError? in
            state.isRetrying = false
            guard state.closed == nil else { return nil }
            do throws(SystemCallError) {
                try state.outbox.flush(on: socket)
                if !state.outbox.isEmpty { retryLater(&state) }
                return nil
            } catch {
                return error
            }
        }
        if let error { close(QMPError(.closed, "the monitor has closed: \(error)")) }
    }

    // MARK: Answers

    private func add(_ id: UInt64, _ command: String, _ deadline: Duration, _ state: inout State) {
        let instant = ContinuousClock.now + deadline
        state.waiters[id] = Waiter(continuation: nil, early: nil, deadline: instant, command: command)
        look(at: instant, &state)
    }

    /// Hands the answer to who waits, now or later.
    private func settle(_ id: UInt64, _ answer: Answer, _ state: inout State) -> (() -> Void)? {
        guard let waiter = state.waiters[id], waiter.early == nil else { return nil }
        guard let continuation = waiter.continuation else {
            state.waiters[id]?.early = answer
            return nil
        }
        state.waiters[id] = nil
        return { continuation.resume(returning: answer) }
    }

    private func look(at instant: ContinuousClock.Instant, _ state: inout State) {
        if let next = state.nextLook, next <= instant { return }
        state.nextLook = instant
        reactor.schedule(after: max(.zero, instant - .now)) { [weak self] in self?.expire(instant) }
    }

    private func expire(_ look: ContinuousClock.Instant) {
        let resumes = state.withLock { state -> [() -> Void] in
            if state.nextLook == look { state.nextLook = nil }
            let now = ContinuousClock.now
            let due = state.waiters.filter { $0.value.deadline <= now && $0.value.early == nil }
            let resumes = due.compactMap { id, waiter in
                settle(id, .failure(QMPError(.timeout, "no answer to \(waiter.command) in time")), &state)
            }
            let next = state.waiters.values.filter { $0.early == nil }.map(\.deadline).min()
            if let next { self.look(at: next, &state) }
            return resumes
        }
        for resume in resumes { resume() }
    }

    // MARK: The reactor's thread

    func ready() -> ReactorVerdict {
        var resumes: [() -> Void] = []
        let end = state.withLock { state -> QMPError? in
            guard state.closed == nil else { return nil }
            switch socket.read(into: &state.lines.bytes) {
            case .bytes: return take(&state, &resumes)
            case .wouldBlock: return nil
            case .end: return QMPError(.closed, "the monitor has closed")
            case .failed(let error): return QMPError(.closed, "the monitor has closed: \(error)")
            }
        }
        for resume in resumes { resume() }
        if let end { close(end) }
        // Closing removes the registration, and only then the descriptor is closed.
        return end == nil ? .again : .pause
    }

    func refused(_ error: SystemCallError) {
        close(QMPError(.closed, "the monitor cannot be watched: \(error)"))
    }

    private func take(_ state: inout State, _ resumes: inout [() -> Void]) -> QMPError? {
        for line in state.lines.take() {
            let message: JSONValue
            do {
                message = try JSONReader.read(Array(line))
            } catch {
                return QMPError(.protocolViolation, "the monitor sent what is no JSON: \(error)")
            }
            switch state.conversation.received(message) {
            case .negotiate:
                let id = QMPConversation.negotiation
                let wanted: JSONObject = state.conversation.offersOutOfBand ? ["enable": ["oob"]] : [:]
                if let error = transmit("qmp_capabilities", wanted, id: id, descriptor: -1, &state) { return error }
            case .answer(let id, let answer):
                if let resume = settle(id, answer, &state) { resumes.append(resume) }
            case .event(let event): publish(event)
            case .violation(let error): return error
            }
        }
        guard state.lines.isTooLong else { return nil }
        return QMPError(.protocolViolation, "the monitor sent a line of more than \(QMPLines.maximumLine) bytes")
    }

    private func publish(_ event: QMPEvent) {
        if case .dropped = eventSink.yield(event) {
            logger.warning("events of a monitor were dropped: nobody reads them", metadata: ["event": "\(event.name)"])
        }
    }
}
