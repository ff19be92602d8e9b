package import Logging
package import Support

/// One session with a QEMU monitor: commands, their answers, and events.
///
/// A monitor serves one client at a time; a second one waits without a greeting (QEMU backend, section 4.1). Events
/// that happened while nobody was connected are lost: whoever connects asks for the state. Callable on any thread. The
/// session ends by ``close()``, with the last holder, or from the other side.
package final class QMPSession: Sendable {
    private static let connectPause = Duration.milliseconds(10)

    private let link: QMPLink
    /// One descriptor at a time: the monitor keeps only the one that came last.
    private let descriptors = SerialLane()

    private init(link: QMPLink) { self.link = link }

    deinit { close() }

    /// Connects to the monitor's socket, reads the greeting and asks for the command mode.
    ///
    /// - Throws: ``QMPError/Code/unreachable`` if nobody listens or the greeting did not come by the deadline,
    ///   ``QMPError/Code/closed`` if the monitor closed instead, ``QMPError/Code/protocolViolation``,
    ///   ``QMPError/Code/cancelled``.
    package static func connect(
        path: String,
        reactor: Reactor,
        deadline: Duration,
        logger: Logger
    ) async throws(QMPError) -> QMPSession {
        let end = ContinuousClock.now + deadline
        let socket = try await socket(path, until: end)
        let link = QMPLink(socket: socket, reactor: reactor, logger: logger)
        let session = QMPSession(link: link)
        link.start(deadline: max(.zero, end - .now))
        switch await link.answer(to: QMPConversation.negotiation) {
        case .success: return session
        case .failure(let error):
            session.close()
            guard error.code == .timeout else { throw error }
            throw QMPError(.unreachable, "no greeting from the monitor \(path) within \(deadline)")
        }
    }

    /// Carries out one command.
    ///
    /// - Parameters:
    ///   - descriptor: goes along with the command, as `getfd` and `add-fd` want it; stays the caller's.
    ///   - isUrgent: carried out at once, also while QEMU is stuck in another command; for the few commands that QEMU
    ///     allows it for.
    ///   - deadline: for the answer. Afterwards whether the command was carried out is unknown.
    /// - Returns: what the monitor's `return` holds.
    package func execute(
        _ command: String,
        _ arguments: JSONObject = [:],
        descriptor: Int32? = nil,
        isUrgent: Bool = false,
        deadline: Duration = .seconds(15)
    ) async throws(QMPError) -> JSONValue {
        guard let descriptor else { return try await exchange(command, arguments, nil, isUrgent, deadline) }
        let answer: QMPLink.Answer
        do {
            answer = try await descriptors.run {
                do throws(QMPError) {
                    return .success(try await exchange(command, arguments, descriptor, isUrgent, deadline))
                } catch {
                    return .failure(error)
                }
            }
        } catch {
            throw QMPError(.cancelled, "\(command) was given up before it was sent")
        }
        return try answer.get()
    }

    /// Events in order since the connection, for one reader; they end with the session. When the reader falls behind,
    /// the oldest are dropped and the log says so.
    package var events: AsyncStream<QMPEvent> { link.events }

    /// Whether commands can be given. Turns false when the monitor's end is noticed, which nothing has to ask for.
    package var isOpen: Bool { link.isOpen }

    /// Ends the session; QEMU goes on. Commands that wait fail with ``QMPError/Code/closed``.
    package func close() {
        link.close(QMPError(.closed, "the monitor's session was ended"))
    }

    private func exchange(
        _ command: String,
        _ arguments: JSONObject,
        _ descriptor: Int32?,
        _ isUrgent: Bool,
        _ deadline: Duration
    ) async throws(QMPError) -> JSONValue {
        if Task.isCancelled { throw QMPError(.cancelled, "\(command) was given up before it was sent") }
        let id = try link.send(
            command,
            arguments,
            descriptor: descriptor,
            isUrgent: isUrgent,
            deadline: deadline
        )
        return try await link.answer(to: id).get()
    }

    private static func socket(
        _ path: String,
        until end: ContinuousClock.Instant
    ) async throws(QMPError) -> MonitorSocket {
        while true {
            switch MonitorSocket.connect(to: path) {
            case .connected(let socket): return socket
            case .failed(let error): throw QMPError(.unreachable, "no monitor: \(error)")
            case .busy:
                guard ContinuousClock.now < end else {
                    throw QMPError(.unreachable, "the monitor \(path) is busy with others")
                }
                do {
                    try await Task.sleep(for: connectPause)
                } catch {
                    throw QMPError(.cancelled, "the connection to \(path) was given up")
                }
            }
        }
    }
}
