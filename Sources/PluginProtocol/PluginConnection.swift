import HostBackend
package import Logging
import Support
import Synchronization

/// The worker's side of one connection to a plugin: handshake, requests, events, consoles.
///
/// What comes is handled on the launcher's thread; requests are sent by whoever makes them, without waiting. Everything
/// is bounded: requests by the plugin's `max_parallel` (more wait in line), events by ``eventLimit`` (then the oldest
/// go), messages by ``messagesPerSecond`` (then the plugin has to wait), console bytes by their credit. The connection
/// ends by ``close(reason:)``, or from the other side, or with whatever breaks the protocol; then everything that waits
/// fails, and ``waitForEnd()`` returns why.
package final class PluginConnection: PluginChannelReceiver {
    /// How many events wait for their reader; beyond it the oldest are dropped, which shows in their numbers.
    package static let eventLimit = 8192
    /// Faster than this the plugin is not read.
    package static let messagesPerSecond = 20_000
    /// The longest that a request without a deadline may go on once it is cancelled.
    static let cancelLimit = Duration.seconds(120)

    struct State {
        var decoder = PluginFrameDecoder()
        var hello: PluginHello?
        var helloWaiter: CheckedContinuation<Result<PluginHello, PluginError>, Never>?
        var requests = PluginRequestTable()
        var waiters: [Int64: PluginWaiter] = [:]
        var streams: [UInt32: PluginConsoleStream] = [:]
        /// Opened, and not handed to who asked for them; they may have ended since.
        var opened: [UInt32: PluginConsoleStream] = [:]
        /// The highest stream id so far: ids are not used again.
        var lastStream: UInt32 = 0
        var lastHeard = ContinuousClock.now
        var nextPing: Int64 = 1
        var pingIsOut = false
        var second = ContinuousClock.now
        var messagesThisSecond = 0
        var error: PluginError?
        var endWaiters: [CheckedContinuation<PluginError, Never>] = []
    }

    /// Called after the state's lock was given back.
    typealias Resume = @Sendable () -> Void

    package let times: PluginTimes
    let channelBox = Mutex<PluginChannel?>(nil)
    let workerHello: WorkerHello
    let reactor: Reactor
    let logger: Logger
    let state = Mutex(State())
    /// Events in their order, for one reader; they end with the connection.
    package let events: AsyncStream<PluginEvent>
    let eventSink: AsyncStream<PluginEvent>.Continuation

    private init(_ hello: WorkerHello, _ times: PluginTimes, _ reactor: Reactor, _ logger: Logger) {
        workerHello = hello
        self.times = times
        self.reactor = reactor
        self.logger = logger
        (events, eventSink) = AsyncStream.makeStream(bufferingPolicy: .bufferingNewest(Self.eventLimit))
    }

    /// Starts a plugin and says hello.
    ///
    /// - Returns: the connection, and the child, which the caller ends.
    /// - Throws: ``PluginError/Code/start``, ``PluginError/Code/incompatible``, ``PluginError/Code/violation``,
    ///   ``PluginError/Code/refused``; the child has been ended then.
    package static func start(
        _ command: PluginCommand,
        hello: WorkerHello,
        times: PluginTimes = PluginTimes(),
        launcher: PluginLauncher,
        logger: Logger,
        log: @escaping @Sendable (PluginLogLine) -> Void
    ) async throws(PluginError) -> (PluginConnection, PluginChild) {
        let connection = PluginConnection(hello, times, launcher.reactor, logger)
        let started: Result<PluginChild, PluginError>
        do {
            started = try await BlockingPool.shared.run {
                do throws(PluginError) {
                    return .success(try launcher.start(command, receiver: connection, log: log))
                } catch {
                    return .failure(error)
                }
            }
        } catch {
            throw PluginError(.start, "\(error)")
        }
        let child = try started.get()
        do throws(PluginError) {
            try await connection.begin(child.channel)
        } catch {
            let end = await child.end(patience: error.code == .start ? .zero : .milliseconds(500))
            guard error.code == .closed else { throw error }
            throw PluginError(.start, "\(error.message) before it said hello: \(end)")
        }
        return (connection, child)
    }

    /// Connects to a service's socket and says hello.
    package static func connect(
        to path: String,
        user: UInt32? = nil,
        hello: WorkerHello,
        times: PluginTimes = PluginTimes(),
        launcher: PluginLauncher,
        logger: Logger
    ) async throws(PluginError) -> PluginConnection {
        let connection = PluginConnection(hello, times, launcher.reactor, logger)
        let channel = try launcher.connect(to: path, user: user, receiver: connection)
        do throws(PluginError) {
            try await connection.begin(channel)
        } catch {
            connection.close(reason: "no handshake")
            throw error
        }
        return connection
    }

    /// What the plugin said of itself. Known for every connection that one has.
    package var hello: PluginHello {
        state.withLock { $0.hello }
            ?? PluginHello(
                version: nil,
                nonce: "",
                name: "",
                pluginVersion: "",
                hostID: "",
                hostName: "",
                hypervisorType: "",
                hypervisorVersion: 0,
                capabilities: .init(flags: [])
            )
    }

    package var isOpen: Bool { state.withLock { $0.error == nil } }

    /// Requests that have no answer, and such as wait for their turn.
    package var load: (running: Int, waiting: Int) {
        state.withLock { ($0.requests.running, $0.requests.waiting) }
    }

    /// Waits for the end of the connection.
    ///
    /// - Returns: why it ended.
    package func waitForEnd() async -> PluginError {
        await withCheckedContinuation { continuation in
            let error = state.withLock { state -> PluginError? in
                if state.error == nil { state.endWaiters.append(continuation) }
                return state.error
            }
            if let error { continuation.resume(returning: error) }
        }
    }

    /// Sends a frame as it is, for checks of how a plugin takes it.
    package func sendRaw(_ bytes: [UInt8]) throws(PluginError) {
        guard let channel = channelBox.withLock({ $0 }) else {
            throw PluginError(.closed, "the connection to the plugin has ended")
        }
        try channel.send(bytes)
    }

    func send(_ message: WorkerMessage) throws(PluginError) {
        let bytes: [UInt8]
        do {
            bytes = try PluginFrame.bytes(of: message.json)
        } catch {
            throw PluginError(.refused, "a message has no JSON form: \(error)")
        }
        try sendRaw(bytes)
    }

    /// Says that no new requests follow. Those under way are answered all the same.
    package func sayGoodbye(_ reason: String) {
        try? send(.goodbye(reason: reason))
    }

    /// Ends the connection; a child's input is closed, a service's connection shut.
    package func close(reason: String) { fail(PluginError(.closed, reason)) }

    // MARK: Handshake

    private func begin(_ channel: PluginChannel) async throws(PluginError) {
        channelBox.withLock { $0 = channel }
        // It may have ended before the channel was known.
        if let error = state.withLock({ $0.error }) {
            channel.close()
            throw error
        }
        try send(.hello(workerHello))
        let limit = times.start
        reactor.schedule(after: limit) { [weak self] in
            guard let self, self.state.withLock({ $0.hello == nil }) else { return }
            self.fail(PluginError(.start, "the plugin said no hello within \(limit)"))
        }
        let answer = await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                let known = state.withLock { state -> Result<PluginHello, PluginError>? in
                    if let hello = state.hello { return .success(hello) }
                    if let error = state.error { return .failure(error) }
                    state.helloWaiter = continuation
                    return nil
                }
                if let known { continuation.resume(returning: known) }
            }
        } onCancel: {
            fail(PluginError(.closed, "the start of the plugin was given up"))
        }
        _ = try answer.get()
        look()
    }

    /// Ends the connection with this error; only the first one counts.
    func fail(_ error: PluginError) {
        let resumes = state.withLock { state -> [Resume]? in
            guard state.error == nil else { return nil }
            state.error = error
            var resumes: [Resume] = []
            if let waiter = state.helloWaiter { resumes.append { waiter.resume(returning: .failure(error)) } }
            state.helloWaiter = nil
            let lost = error.code == .violation || error.code == .hung ? error : PluginError(.closed, error.message)
            for id in state.requests.removeAll() {
                if let resume = settle(id, .failure(lost), &state) { resumes.append(resume) }
            }
            for stream in state.streams.values { resumes.append { stream.fail(lost) } }
            state.streams = [:]
            state.opened = [:]
            for waiter in state.endWaiters { resumes.append { waiter.resume(returning: error) } }
            state.endWaiters = []
            return resumes
        }
        guard let resumes else { return }
        let channel = channelBox.withLock { $0 }
        if error.code == .closed { channel?.finishWriting() } else { channel?.close() }
        eventSink.finish()
        for resume in resumes { resume() }
    }

    deinit { channelBox.withLock { $0 }?.close() }
}
