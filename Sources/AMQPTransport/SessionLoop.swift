import AMQPModel
import Synchronization

/// The I/O thread's own part of a session: both connections and the order in which they get their turns.
///
/// Every turn: take the inbox, do what time has brought, write, wait in one `poll`, read. Deliveries are handed to the
/// handler while reading, so a reply made there is written at the end of the same turn, together with all the others.
/// The publishing connection writes first: a reply is owed to somebody who waits, an acknowledgement is not.
final class SessionLoop {
    private enum Phase {
        case running
        /// Waiting for confirmations.
        case draining(until: Moment)
        /// Waiting for queues to be deleted.
        case deleting(until: Moment)
        /// Waiting for the broker's farewell.
        case closing(until: Moment)
        case ended
    }

    private static let goodbye = Duration.seconds(1)

    private let core: SessionCore
    private let poller: Poller
    let consuming: ConsumingLink
    let publishing: PublishingLink
    private var metrics = SessionMetrics()
    private var phase = Phase.running
    private var closeWaiters: [CheckedContinuation<Void, Never>] = []
    private var readyWaiters: [(id: UInt64, continuation: CheckedContinuation<Void, any Error>)] = []
    private var wasReady = false
    /// Another session will consume the queues that an orderly end deletes.
    private var keepsQueues = false

    init(core: SessionCore, poller: Poller) {
        self.core = core
        self.poller = poller
        consuming = ConsumingLink(core: core)
        publishing = PublishingLink(core: core)
    }

    /// Returns when the session is closed or cancelled.
    func run() {
        var now = Moment.now()
        consuming.start(now: now)
        publishing.start(now: now)
        while true {
            handle(core.takeInbox(), now: now)
            advance(now: now)
            if case .ended = phase { break }
            throttle()
            publishing.service(now: now)
            consuming.service(now: now)
            metrics.export(core.counters, now: now)
            noticeReady()
            now = turn()
        }
        finish(now: now)
    }

    /// Waits for something to do and reads what has come.
    private func turn() -> Moment {
        var first = consuming.pollEntry
        var second = publishing.pollEntry
        let isBusy = (consuming.hasInputLeft && consuming.takesInput) || publishing.hasInputLeft
        let wakeAt = min(consuming.wakeAt, publishing.wakeAt, phaseWakeAt)
        let timeout = isBusy ? 0 : wakeAt.pollTimeout(from: Moment.now())
        _ = poller.wait(&first, &second, timeout: timeout)
        let now = Moment.now()
        let delivered = core.counters.deliveries.load(ordering: .relaxed)
        consuming.receive(first, now: now)
        publishing.receive(second, expected: first.canRead && publishing.expectsInput, now: now)
        if core.counters.deliveries.load(ordering: .relaxed) != delivered {
            core.counters.lastDelivery.store(now.nanoseconds, ordering: .relaxed)
        }
        return now
    }

    // MARK: - Inbox

    private func handle(_ inbox: SessionCore.Inbox, now: Moment) {
        for command in inbox.commands { handle(command, now: now) }
        for (receipt, settlement) in inbox.settlements { consuming.settle(receipt, settlement) }
        for entry in inbox.publishes { publishing.enqueue(entry) }
    }

    private func handle(_ command: SessionCore.Command, now: Moment) {
        switch command {
        case .declare(let steps, let waiter): consuming.declare(steps, waiter: waiter)
        case .remove(let steps, let queues): consuming.remove(steps, deletingQueues: queues)
        case .stopConsuming(let waiter): consuming.stopConsuming(waiter)
        case .awaitReady(let id, let continuation):
            if wasReady { continuation.resume() } else { readyWaiters.append((id, continuation)) }
        case .cancelAwaitReady(let id):
            guard let position = readyWaiters.firstIndex(where: { $0.id == id }) else { return }
            readyWaiters.remove(at: position).continuation.resume(throwing: CancellationError())
        case .checkIn(let waiter): waiter.resume()
        case .close(let draining, let deletesQueues, let waiter):
            closeWaiters.append(waiter)
            keepsQueues = !deletesQueues
            if case .running = phase { phase = .draining(until: now + draining) }
        case .stop: phase = .ended
        case .connected(let role, let wire): link(role).connected(wire, now: now)
        case .connectFailed(let role, let error): link(role).connectFailed(error, now: now)
        }
    }

    private func link(_ role: ConnectionRole) -> Link { role == .consuming ? consuming : publishing }

    // MARK: - State

    private func noticeReady() {
        guard !wasReady, consuming.isReady, publishing.isReady else { return }
        wasReady = true
        for waiter in readyWaiters { waiter.continuation.resume() }
        readyWaiters = []
    }

    /// Back-pressure: without room for replies no work is taken; the socket fills and the broker holds back.
    private func throttle() {
        let messages = core.counters.outboundMessages.load(ordering: .relaxed)
        let bytes = core.counters.outboundBytes.load(ordering: .relaxed)
        let settings = core.settings
        if consuming.isThrottled {
            guard messages <= settings.outboundMessages / 2, bytes <= settings.outboundBytes / 2 else { return }
        } else {
            guard messages > settings.outboundMessages || bytes > settings.outboundBytes else { return }
        }
        consuming.isThrottled.toggle()
        core.report(.throttled(consuming.isThrottled))
    }

    // MARK: - Closing

    private var phaseWakeAt: Moment {
        switch phase {
        case .running: .never
        case .draining(let until), .deleting(let until), .closing(let until): until
        case .ended: Moment(nanoseconds: 0)
        }
    }

    private func advance(now: Moment) {
        if case .draining(let until) = phase, publishing.isDrained || until <= now {
            consuming.isThrottled = false
            consuming.stopConsuming(nil)
            consuming.deleteQueues(keepsQueues ? [] : core.settings.deleteOnClose)
            phase = .deleting(until: now + Self.goodbye)
        }
        if case .deleting(let until) = phase, consuming.wire == nil || consuming.declarations.isIdle || until <= now {
            consuming.service(now: now)
            consuming.beginClose(now: now)
            publishing.beginClose(now: now)
            phase = .closing(until: now + Self.goodbye)
        }
        if case .closing(let until) = phase, (consuming.isClosed && publishing.isClosed) || until <= now {
            phase = .ended
        }
    }

    private func finish(now: Moment) {
        let rest = core.closeInbox()
        for entry in rest.publishes { publishing.enqueue(entry) }
        consuming.abandon(now: now)
        publishing.abandon(now: now)
        publishing.failAll("session closed")
        consuming.releaseWaiters()
        let closed = TransportError(.closed, "session closed")
        for waiter in readyWaiters { waiter.continuation.resume(throwing: closed) }
        readyWaiters = []
        for command in rest.commands { Self.release(command, closed) }
        for waiter in closeWaiters { waiter.resume() }
        metrics.export(core.counters, now: now)
    }

    /// Lets go of whoever waits for a command that is not carried out any more.
    static func release(_ command: SessionCore.Command, _ error: TransportError) {
        switch command {
        case .declare(_, let waiter): waiter?.resume(throwing: error)
        case .awaitReady(_, let waiter): waiter.resume(throwing: error)
        case .stopConsuming(let waiter), .close(_, _, let waiter), .checkIn(let waiter): waiter.resume()
        case .remove, .cancelAwaitReady, .stop, .connected, .connectFailed: break
        }
    }
}
