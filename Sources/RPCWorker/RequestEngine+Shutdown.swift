import Journal
import Logging
import OsloMessaging
import Synchronization

extension RequestEngine {
    /// Brings what was taken to an end, after consuming has stopped: everything runs for up to
    /// ``RPCWorkerSettings/drainTimeout``. Then calls that still wait are answered with a failure, casts that wait stay
    /// in the journal for the next start, and what runs is cancelled; what does not heed that is found in the journal
    /// by the next start.
    func drain() async {
        if await outstanding.waitUntilNone(atMost: settings.drainTimeout) { return }
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
        logger.notice("cancelling operations that still run", metadata: [LogKey.count: "\(outstanding.count)"])
        tasks.cancelAll()
        if await !outstanding.waitUntilNone(atMost: settings.closeTimeout) {
            logger.warning(
                "operations left for the next start",
                metadata: [LogKey.count: "\(outstanding.count)"]
            )
        }
    }

    /// Nothing new starts, everything running is cancelled; nobody waits for it.
    func abandon() {
        isClosing.store(true, ordering: .releasing)
        tasks.cancelAll()
    }

    private func refuseForShutdown(_ ticket: MutatingTicket, _ entry: EntryID) {
        tasks.start { [self] in
            await refuse(ticket, entry, .runtimeError("host \(ticket.host.name) is shutting down"))
            outstanding.leave()
        }
    }
}
