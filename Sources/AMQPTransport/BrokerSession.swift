package import AMQPModel
package import Logging
import Support
import Synchronization

/// A lasting relation with a broker: consumes, publishes, keeps its topology and recovers from every loss.
///
/// One thread of its own (the I/O thread) owns two connections, one that consumes and acknowledges and one that
/// publishes with confirms, because a broker that is short of resources stops reading from connections that publish.
/// The handler runs on that thread, and what it publishes or settles there takes no lock and no wake-up. From other
/// threads each call takes one short lock, and wakes the thread at most once per batch.
///
/// Concurrency: the I/O thread owns the connections, ledgers and buffers (``SessionLoop``); the inbox and the state for
/// observers are behind a mutex each in ``SessionCore``; counters are atomics.
package final class BrokerSession: Sendable {
    /// Names longer than this cannot be written (AMQP 0-9-1, short strings).
    private static let maximumNameBytes = 255
    /// Beyond this multiple of the limits at which deliveries stop, publishing is refused.
    private static let refusalFactor = 2

    private enum Life: Int, AtomicRepresentable {
        case new, running, ended
    }

    private let core: SessionCore
    private let life = Atomic<Life>(.new)
    /// The thread that owns `loop`; 0 while there is none.
    private let ioThread = Atomic<UInt>(0)
    /// Written by the I/O thread alone, and read by it alone: whoever reads compares `ioThread` with itself first.
    nonisolated(unsafe) private var loop: SessionLoop?
    private let nextWaiter = Atomic<UInt64>(0)

    package init(
        options: ConnectionOptions,
        settings: SessionSettings,
        handler: any DeliveryHandler,
        logger: Logger
    ) {
        core = SessionCore(options: options, settings: settings, handler: handler, logger: logger)
    }

    // MARK: - Life

    /// Connects, declares, consumes and recovers until ``close(draining:)`` has ended or the task is cancelled.
    ///
    /// Both the thread and the connections are gone when it returns. On cancellation messages not yet confirmed are
    /// given up and unsettled deliveries return to their queues; that takes up to twice the connect timeout when a
    /// connection is just being opened, else milliseconds.
    ///
    /// - Throws: `CancellationError` after cancellation; ``TransportError`` `closed` when it was run before, `system`
    ///   when there is no thread or descriptor to be had.
    package func run() async throws {
        guard life.compareExchange(expected: .new, desired: .running, ordering: .acquiringAndReleasing).exchanged else {
            throw TransportError(.closed, "a session runs once")
        }
        let poller: Poller
        do { poller = try Poller() } catch {
            endWithoutThread(error)
            throw error
        }
        core.poller.withLock { $0 = poller }
        let ended = Latch()
        let thread: IOThread
        do {
            thread = try IOThread(name: "amqp-io") { [self] in
                serve(poller)
                ended.open()
            }
        } catch {
            endWithoutThread(error)
            throw error
        }
        await withTaskCancellationHandler {
            await ended.wait()
        } onCancel: {
            _ = core.post { $0.commands.append(.stop) }
        }
        core.poller.withLock { $0 = nil }
        // Opening the latch was the thread's last act, so this waits for microseconds.
        thread.join()
        try Task.checkCancellation()
    }

    /// The I/O thread's life.
    private func serve(_ poller: Poller) {
        let loop = SessionLoop(core: core, poller: poller)
        self.loop = loop
        ioThread.store(IOThread.currentID, ordering: .releasing)
        loop.run()
        ioThread.store(0, ordering: .releasing)
        self.loop = nil
        life.store(.ended, ordering: .releasing)
    }

    private func endWithoutThread(_ error: TransportError) {
        life.store(.ended, ordering: .releasing)
        let rest = core.closeInbox()
        for entry in rest.publishes { core.finish(entry, .failed(error.message)) }
        for command in rest.commands { SessionLoop.release(command, error) }
    }

    /// The loop, when called on its thread.
    private var ownLoop: SessionLoop? {
        ioThread.load(ordering: .acquiring) == IOThread.currentID ? loop : nil
    }

    /// Returns once the topology is in place and both connections serve for the first time.
    ///
    /// - Throws: `CancellationError`; ``TransportError`` `closed` when the session ends before.
    package func waitUntilReady() async throws {
        let id = nextWaiter.add(1, ordering: .relaxed).newValue
        try await withTaskCancellationHandler {
            try await withCheckedThrowingContinuation { (continuation: CheckedContinuation<Void, any Error>) in
                if Task.isCancelled { return continuation.resume(throwing: CancellationError()) }
                post(.awaitReady(id: id, continuation))
            }
        } onCancel: {
            _ = core.post { $0.commands.append(.cancelAwaitReady(id: id)) }
        }
    }

    /// Ends the session in order: sends what waits and waits for the confirmations for up to `draining`, deletes the
    /// queues of ``SessionSettings/deleteOnClose``, says goodbye to the broker (up to two seconds more) and lets
    /// ``run()`` return. Settle what is unsettled before; the rest returns to its queues. Cancellation has no effect.
    ///
    /// - Parameter deletingQueues: `false` leaves those queues to a session that goes on with them.
    package func close(draining: Duration, deletingQueues: Bool = true) async {
        if life.compareExchange(expected: .new, desired: .ended, ordering: .acquiringAndReleasing).exchanged {
            return endWithoutThread(TransportError(.closed, "session closed"))
        }
        await withCheckedContinuation { continuation in
            post(.close(draining: draining, deletesQueues: deletingQueues, continuation))
        }
    }

    /// Returns when the I/O thread has answered: a sign that it does its rounds. Once the session has ended, at once.
    package func checkIn() async {
        await withCheckedContinuation { continuation in post(.checkIn(continuation)) }
    }

    /// Cancels all consumers while publishing and settling go on. Deliveries that still come in are handed back to
    /// their queues. Returns when the broker has confirmed, or the connection is gone. There is no way back.
    package func stopConsuming() async {
        await withCheckedContinuation { continuation in post(.stopConsuming(continuation)) }
    }

    /// Puts a command into the inbox, or lets go of its waiter when the session has ended.
    private func post(_ command: SessionCore.Command) {
        if !core.post({ $0.commands.append(command) }) {
            SessionLoop.release(command, TransportError(.closed, "session closed"))
        }
    }

    // MARK: - Topology

    /// Adds declarations and consumers and keeps them for every later connection. Returns when they are in place and
    /// everything asked for before, too.
    ///
    /// The steps stay asked for when the waiting task is cancelled; the wait itself ends with the session at the latest.
    /// - Throws: ``TransportError`` `closed` when the session ends before.
    package func declare(_ steps: [TopologyStep]) async throws {
        try await withCheckedThrowingContinuation { continuation in
            post(.declare(steps, waiter: continuation))
        }
    }

    /// Forgets steps, cancels their consumers, and deletes `queues` if connected; does not wait for that.
    package func remove(_ steps: [TopologyStep], deletingQueues queues: [String] = []) {
        post(.remove(steps, deletingQueues: queues))
    }

    // MARK: - Publishing and settling

    /// Publishes a message after declaring `steps`, each once per connection.
    ///
    /// `completion` is called exactly once, on the I/O thread (or the caller's when the message is refused at once),
    /// and must not wait; it may come a few milliseconds after the broker's confirmation. The message is repeated over reconnections until the broker confirms it, so it may arrive
    /// twice. Bounded: messages wait while the broker blocks or is away; at ``SessionSettings/outboundMessages`` or
    /// `outboundBytes` deliveries stop, and at twice that publishing fails at once.
    package func publish(
        _ message: OutboundMessage,
        declaring steps: [TopologyStep] = [],
        completion: (@Sendable (PublishOutcome) -> Void)? = nil
    ) {
        publish(OutboundEntry(message: message, declaring: steps, completion: completion))
    }

    private func publish(_ entry: OutboundEntry) {
        let message = entry.message
        let counters = core.counters
        counters.outboundMessages.add(1, ordering: .relaxed)
        counters.outboundBytes.add(message.body.count, ordering: .relaxed)
        if let reason = refusal(of: message) { return core.finish(entry, .failed(reason)) }
        if let loop = ownLoop {
            loop.publishing.enqueue(entry)
        } else if !core.post({ $0.publishes.append(entry) }) {
            core.finish(entry, .failed("session closed"))
        }
    }

    /// Publishes a message and waits for what became of it; see ``publish(_:declaring:completion:)``.
    ///
    /// - Throws: `CancellationError` when the waiting task is cancelled; the message may be published all the same.
    package func publish(_ message: OutboundMessage, declaring steps: [TopologyStep] = []) async throws
        -> PublishOutcome
    {
        let waiter = OneShot<PublishOutcome>()
        publish(
            OutboundEntry(message: message, declaring: steps, isAwaited: true) { waiter.resolve(.success($0)) }
        )
        return try await waiter.value()
    }

    private func refusal(of message: OutboundMessage) -> String? {
        let settings = core.settings
        if message.routingKey.utf8.count > Self.maximumNameBytes { return "routing key longer than 255 bytes" }
        if message.exchange.utf8.count > Self.maximumNameBytes { return "exchange name longer than 255 bytes" }
        if message.body.count > settings.maximumMessageBytes {
            return "message of \(message.body.count) bytes is above the limit of \(settings.maximumMessageBytes)"
        }
        let messages = core.counters.outboundMessages.load(ordering: .relaxed)
        let bytes = core.counters.outboundBytes.load(ordering: .relaxed)
        if messages > settings.outboundMessages * Self.refusalFactor
            || bytes > settings.outboundBytes * Self.refusalFactor + settings.maximumMessageBytes
        {
            return "too much waits to be published (\(messages) messages, \(bytes) bytes)"
        }
        return nil
    }

    /// Settles a delivery. From any thread; a receipt of an earlier connection is ignored, and so is a second call.
    package func settle(_ receipt: DeliveryReceipt, _ settlement: Settlement) {
        if let loop = ownLoop {
            loop.consuming.settle(receipt, settlement)
        } else {
            _ = core.post { $0.settlements.append((receipt, settlement)) }
        }
    }

    // MARK: - Observing

    /// How the session is now.
    package var status: SessionStatus {
        let counters = core.counters
        let now = Moment.now()
        func seconds(_ moment: Int64) -> Double? {
            moment == 0 ? nil : Double(now.nanoseconds - moment) / 1_000_000_000
        }
        return SessionStatus(
            consuming: core.connection(.consuming),
            publishing: core.connection(.publishing),
            blocked: core.isBlocked.load(ordering: .relaxed),
            secondsSinceDelivery: seconds(counters.lastDelivery.load(ordering: .relaxed)),
            secondsSincePublish: seconds(counters.lastPublish.load(ordering: .relaxed)),
            deliveries: counters.deliveries.load(ordering: .relaxed),
            published: counters.published.load(ordering: .relaxed),
            confirmed: counters.confirmed.load(ordering: .relaxed),
            returned: counters.returned.load(ordering: .relaxed),
            failed: counters.failed.load(ordering: .relaxed),
            oversized: counters.oversized.load(ordering: .relaxed),
            outboundMessages: counters.outboundMessages.load(ordering: .relaxed),
            outboundBytes: counters.outboundBytes.load(ordering: .relaxed)
        )
    }
}
