import Journal
import Logging
import OsloMessaging
import Synchronization

extension RequestEngine {
    /// Puts the requests that an earlier process accepted and did not end into the queue, oldest first, whatever the
    /// limits. They start with ``startWaiting()``. Calls nobody waits for any more are ended there, unless they had
    /// begun: those are carried to their end all the same.
    func restore(_ host: HostService) async throws {
        var last: EntryID?
        var count = 0
        while true {
            let page = try await host.journal.unfinished(after: last)
            guard let newest = page.last else { break }
            last = newest.entry
            count += page.count
            for unfinished in page { restore(unfinished, host) }
        }
        if count > 0 {
            logger.notice(
                "taking up requests of an earlier run",
                metadata: [LogKey.host: "\(host.name)", LogKey.count: "\(count)"]
            )
        }
    }

    private func restore(_ unfinished: UnfinishedRequest, _ host: HostService) {
        let request = unfinished.request
        let now = ContinuousClock.now
        let age = Self.wallClock() - request.acceptedAt
        let left = request.expiresAt.map { $0 - Self.wallClock() }
        var ticket = MutatingTicket(
            host: host,
            uniqueID: request.uniqueID,
            arrival: Arrival(
                receivedAt: now - .milliseconds(age),
                expiresAt: left.map { now + .milliseconds($0) }
            ),
            watch: nil,
            isCall: request.messageID != nil,
            body: []
        )
        ticket.isPartner = settings.partnerMethods.contains(request.method)
        ticket.entry = unfinished.entry
        ticket.wasStarted = unfinished.started
        outstanding.enter()
        admission.withLock { $0.restore(ticket, host: host.index, partner: ticket.isPartner) }
    }

    /// Publishes the replies that an earlier process owed.
    func sendOwedReplies(_ host: HostService) async throws {
        var last: EntryID?
        while true {
            let page = try await host.journal.owedReplies(after: last)
            guard let newest = page.last else { return }
            last = newest.entry
            for owed in page {
                host.publisher.send(
                    .reply(owed.reply.body, to: owed.reply.queue, mandatory: settings.replies.mandatory),
                    owed: OwedRecord(journal: host.journal, entry: owed.entry)
                )
            }
        }
    }
}
