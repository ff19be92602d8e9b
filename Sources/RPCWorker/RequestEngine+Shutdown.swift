import Journal
import Logging
import OsloMessaging
import Synchronization

extension RequestEngine {
    /// How long reads that wait for nothing may take.
    private static let shortRead = Duration.milliseconds(200)
    /// How often what was being journalled is taken out of the queue.
    private static let look = Duration.milliseconds(50)

    /// Brings what was taken to an end, after consuming has stopped: everything runs for up to
    /// ``RPCWorkerSettings/drainTimeout``. Then calls that still wait are answered with a failure, casts that wait stay
    /// in the journal for the next start, and what runs is cancelled; what does not heed that is found in the journal
    /// by the next start.
    func drain() async {
        if handsOver.load(ordering: .acquiring) { return await drainForNext() }
        if await outstanding.waitUntilNone(atMost: drainTimeout.withLock { $0 }) { return }
        isClosing.store(true, ordering: .releasing)
        let left = admission.withLock { $0.removeWaiting { _ in true } }
        for ticket in left {
            if ticket.isCall, !ticket.wasStarted, let entry = ticket.entry {
                refuseForShutdown(ticket, entry)
            } else {
                monitor.end(ticket.watch)
                outstanding.leave()
            }
        }
        await cancelRest()
    }

    /// The same when the next process is about to start, and nothing needs to fail for the change: what waits stays in
    /// the journal, calls included; reads that wait for something are ended early; what does not end in time is
    /// cancelled and begun anew by the next process (see ``isLeftToNext(_:)``).
    private func drainForNext() async {
        if await outstanding.waitUntilNone(atMost: Self.shortRead) { return }
        isClosing.store(true, ordering: .releasing)
        reading.cancelAll()
        let end = ContinuousClock.now + drainTimeout.withLock { $0 }
        repeat {
            for ticket in admission.withLock({ $0.removeWaiting { _ in true } }) {
                monitor.end(ticket.watch)
                outstanding.leave()
            }
            if await outstanding.waitUntilNone(atMost: Self.look) { return }
        } while ContinuousClock.now < end
        await cancelRest()
    }

    private func cancelRest() async {
        logger.notice("cancelling operations that still run", metadata: [LogKey.count: "\(outstanding.count)"])
        tasks.cancelAll()
        reading.cancelAll()
        if await !outstanding.waitUntilNone(atMost: settings.closeTimeout) {
            logger.warning(
                "operations left for the next start",
                metadata: [LogKey.count: "\(outstanding.count)"]
            )
        }
    }

    /// Whether a failure is only that of being cancelled in favour of the next process, which finds the request in
    /// the journal as one that had begun.
    func isLeftToNext(_ outcome: OperationOutcome) -> Bool {
        outcome.isFailure && Task.isCancelled && isClosing.load(ordering: .acquiring)
            && handsOver.load(ordering: .acquiring)
    }

    /// Nothing new starts, everything running is cancelled; nobody waits for it.
    func abandon() {
        isClosing.store(true, ordering: .releasing)
        tasks.cancelAll()
        reading.cancelAll()
    }

    private func refuseForShutdown(_ ticket: MutatingTicket, _ entry: EntryID) {
        tasks.start { [self] in
            await refuse(ticket, entry, .runtimeError("host \(ticket.host.name) is shutting down"))
            outstanding.leave()
        }
    }
}
