import AMQPModel
import Logging
import Support
import Synchronization

/// One of a session's two connections, over all its reconnections. Confined to the I/O thread.
///
/// Channel 1 carries messages, the few after it declarations. This class connects, keeps alive, declares, reads and writes;
/// what flows on channel 1 is its subclasses' part. Connecting blocks and happens on a helper thread, one per link at
/// a time; the other link goes on meanwhile.
class Link {
    static let messageChannel: UInt16 = 1
    /// So much is read in one go before the other link and the outbox have their turn.
    private static let framesPerTurn = 4096
    private static let retryPause = Duration.milliseconds(2)

    let role: ConnectionRole
    let core: SessionCore
    let output = OutputBuffer()
    var arena = WireArena()
    private(set) var lifecycle: ConnectionLifecycle
    private(set) var wire: WireConnection?
    var declarations: Declarations
    private var heartbeat = HeartbeatClock(seconds: 0, now: .never)
    private var helper: IOThread?
    private var writeWaits = false
    private var writeAgainAt = Moment.never
    /// More was read from the socket than was handled.
    private(set) var hasInputLeft = false
    private(set) var isReady = false
    private(set) var isClosing = false
    /// Counts channels, so that receipts of an earlier one are recognised.
    var generation: UInt64 = 0

    init(role: ConnectionRole, core: SessionCore) {
        self.role = role
        self.core = core
        lifecycle = ConnectionLifecycle(
            addresses: core.options.addresses.count,
            backoff: core.options.reconnect,
            refusedPause: core.settings.refusedPause
        )
        declarations = Declarations(refusedPause: core.settings.refusedPause)
    }

    // MARK: - For subclasses

    /// A connection is open; channel 1 is not.
    func opened(now: Moment) {}
    /// The connection is gone; `code` is the broker's when it closed the connection.
    func ended(code: UInt16?, reason: String) {}
    func receivedMessageFrame(_ frame: InboundFrame, _ wire: WireConnection, now: Moment) throws(TransportError) {}
    func declarationsEnded(_ outcome: Declarations.Outcome) {}
    /// Encodes what is to be sent on channel 1; `true` when there is more than was encoded.
    func serviceMessages(now: Moment) -> Bool { false }
    func blockedChanged(_ reason: String?) {}
    func willRead() {}
    /// Nothing is read for as long as it takes, so the peer's silence means nothing.
    var isDeaf: Bool { false }
    var messagesWakeAt: Moment { .never }
    var takesInput: Bool { true }

    func becomeReady() {
        guard !isReady else { return }
        isReady = true
        core.update(role) { $0.state = .ready }
        core.report(.ready(role, address: addressText))
    }

    var addressText: String {
        switch lifecycle.state {
        case .waiting(let address, _), .connecting(let address), .up(let address, _):
            core.options.addresses.indices.contains(address) ? "\(core.options.addresses[address])" : "-"
        case .idle, .closed: "-"
        }
    }

    func send(_ method: OutboundMethod, channel: UInt16) {
        guard let wire else { return }
        if !output.append(method, channel: channel, arena: &arena, frameMaximum: wire.frameMaximum) {
            core.logger.error("method does not fit a frame", metadata: [LogKey.step: "\(method)"])
        }
    }

    // MARK: - Turns of the I/O thread

    func start(now: Moment) { lifecycle.start(now: now) }

    /// Does what time has brought.
    func service(now: Moment) {
        if let address = lifecycle.due(now: now) { connect(to: address, now: now) }
        guard wire != nil else { return }
        if isDeaf { heartbeat.didRead(now: now) }
        switch heartbeat.verdict(now: now) {
        case .fine: break
        case .peerIsDead: return end(TransportError(.connectionLost, "no heartbeat from the broker"), now: now)
        case .send:
            // Whatever waits in the buffer is a sign of life as good as a heartbeat.
            if output.isEmpty { output.appendHeartbeat() }
            heartbeat.didWrite(now: now)
        }
        runDeclarations(now: now)
        var hasMore = false
        repeat {
            hasMore = serviceMessages(now: now)
            flush(now: now)
        } while hasMore && output.isEmpty
    }

    func runDeclarations(now: Moment) {
        while let outcome = declarations.finishEmpty() { handle(outcome) }
        for (channel, methods) in declarations.next(now: now) {
            for method in methods { send(method, channel: channel) }
        }
    }

    func flush(now: Moment) {
        guard let wire, !output.isEmpty else { return }
        if writeWaits { return }
        do {
            let waiting = output.count
            let result = try wire.write(output)
            if output.count < waiting { heartbeat.didWrite(now: now) }
            writeWaits = result == .whenWritable
            writeAgainAt = result == .soon ? now + Self.retryPause : .never
        } catch {
            end(error, now: now)
        }
    }

    var pollEntry: PollEntry {
        PollEntry(descriptor: wire?.descriptor ?? -1, read: takesInput, write: writeWaits)
    }

    var wakeAt: Moment {
        let connected = min(heartbeat.wakeAt, writeAgainAt, declarations.wakeAt, messagesWakeAt)
        return wire == nil ? lifecycle.wakeAt : connected
    }

    /// Reads what has come, or with `expected` what may have.
    func receive(_ polled: PollEntry, expected: Bool = false, now: Moment) {
        if polled.canWrite { writeWaits = false }
        guard let wire, polled.canRead || hasInputLeft || expected else { return }
        willRead()
        do {
            var frames = 0
            repeat {
                let frame = try wire.read()
                if frames == 0, polled.canRead || frame != nil { heartbeat.didRead(now: now) }
                guard let frame else { break }
                try handle(frame, wire, now: now)
                guard self.wire === wire else { return }
                frames += 1
            } while wire.hasBufferedInput && frames < Self.framesPerTurn
            hasInputLeft = frames >= Self.framesPerTurn
            if !wire.hasBufferedInput { wire.release() }
        } catch {
            end(error, now: now)
        }
    }

    private func handle(_ frame: InboundFrame, _ wire: WireConnection, now: Moment) throws(TransportError) {
        switch wire.channel {
        case Self.messageChannel:
            try receivedMessageFrame(frame, wire, now: now)
        case let channel where Declarations.has(channel):
            handleDeclaration(frame, channel, now: now)
        default:
            try handleConnection(frame, now: now)
        }
    }

    private func handleDeclaration(_ frame: InboundFrame, _ channel: UInt16, now: Moment) {
        switch frame {
        case .channelOpenOk: declarations.channelOpened(channel)
        case .declarationOk: if let outcome = declarations.answer(channel) { handle(outcome) }
        case .channelClose(let code, let text):
            send(.channelCloseOk, channel: channel)
            if let outcome = declarations.channelClosed(channel, code: code, text: text, now: now) { handle(outcome) }
        default: break
        }
        runDeclarations(now: now)
    }

    private func handle(_ outcome: DeclarationRunner.Outcome) {
        switch outcome {
        case .mismatch(let step, let text):
            core.counters.topologyMismatches.countUp()
            core.report(.topologyMismatch(step, text: text))
        case .paused(let step, let text): core.report(.topologyFailed(step, text: text))
        case .finished, .failed: break
        }
        declarationsEnded(outcome)
    }

    private func handleConnection(_ frame: InboundFrame, now: Moment) throws(TransportError) {
        switch frame {
        case .connectionClose(let code, let text):
            send(.connectionCloseOk, channel: 0)
            flush(now: now)
            let permanent = [402, 403, 530, 541].contains(code)
            end(
                TransportError(permanent ? .refused : .connectionLost, "the broker closed it: \(code) \(text)"),
                code: code,
                now: now
            )
        case .connectionCloseOk:
            if isClosing { end(TransportError(.closed, "closed"), now: now) }
        case .blocked(let reason): blockedChanged(reason)
        case .unblocked: blockedChanged(nil)
        default: break
        }
    }

    // MARK: - Connecting and ending

    private func connect(to position: Int, now: Moment) {
        let address = core.options.addresses[position]
        core.update(role) { connection in
            connection.state = .connecting
            connection.address = "\(address)"
        }
        do throws(TransportError) {
            helper = try IOThread(name: "amqp-connect") { [core, role] in
                let command: SessionCore.Command
                do throws(TransportError) {
                    command = .connected(
                        role,
                        try WireConnector.connect(to: address, role: role, options: core.options)
                    )
                } catch {
                    command = .connectFailed(role, error)
                }
                // Refused when the session has ended meanwhile; the connection is then dropped right here.
                _ = core.post { $0.commands.append(command) }
            }
        } catch {
            connectFailed(error, now: now)
        }
    }

    func connected(_ connection: WireConnection, now: Moment) {
        joinHelper()
        guard !isClosing else { return }
        lifecycle.connected(now: now)
        wire = connection
        heartbeat = HeartbeatClock(seconds: connection.heartbeatSeconds, now: now)
        core.update(role) { status in
            if status.generation > 0 { core.counters.reconnects.countUp() }
            status.generation += 1
            status.state = .settingUp
        }
        declarations.connected(channelMaximum: connection.channelMaximum)
        opened(now: now)
    }

    func connectFailed(_ error: TransportError, now: Moment) {
        joinHelper()
        guard !isClosing else { return }
        let address = addressText
        lifecycle.failed(permanent: !error.isTransient, now: now)
        core.update(role) { connection in
            connection.state = .waiting
            connection.lastError = error.message
        }
        core.report(.connectFailed(role, address: address, reason: error.message, permanent: !error.isTransient))
    }

    /// Drops the connection, whatever its state, and plans the next one.
    func end(_ error: TransportError, code: UInt16? = nil, now: Moment) {
        guard wire != nil else { return }
        wire = nil
        output.removeAll()
        writeWaits = false
        writeAgainAt = .never
        hasInputLeft = false
        isReady = false
        heartbeat = HeartbeatClock(seconds: 0, now: now)
        declarations.disconnected()
        generation += 1
        let permanent = !error.isTransient
        if isClosing { lifecycle.close() } else { lifecycle.lost(permanent: permanent, now: now) }
        core.update(role) { connection in
            connection.state = isClosing ? .closed : .waiting
            connection.lastError = error.message
        }
        ended(code: code, reason: error.message)
        if isClosing { return }
        core.report(.lost(role, reason: error.message))
        if permanent {
            core.report(.connectFailed(role, address: addressText, reason: error.message, permanent: true))
        }
    }

    /// Says goodbye; the link is closed when the broker has answered, or ``abandon(now:)`` is called.
    func beginClose(now: Moment) {
        isClosing = true
        guard wire != nil else { return lifecycle.close() }
        send(.connectionClose, channel: 0)
        flush(now: now)
    }

    var isClosed: Bool { isClosing && wire == nil }

    /// Ends without a word, and waits for a helper that is still connecting (bounded by the connect timeout).
    func abandon(now: Moment) {
        isClosing = true
        end(TransportError(.closed, "closed"), now: now)
        lifecycle.close()
        core.update(role) { $0.state = .closed }
        joinHelper()
    }

    private func joinHelper() {
        helper?.join()
        helper = nil
    }
}
