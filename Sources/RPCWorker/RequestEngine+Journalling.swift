import AMQPTransport
import Glibc
import Journal
import Logging
import Metrics
import OsloMessaging
import Support
import Synchronization

/// From the delivery of a mutating request to its place among the running or waiting.
extension RequestEngine {
    /// Pause before a cast that could not be journalled is tried again.
    private static let journalPause = Duration.seconds(1)

    /// Takes a mutating request, which is settled once it is durable.
    func take(_ ticket: MutatingTicket) {
        let verdict = admission.withLock { admission in
            let verdict = admission.offer(host: ticket.host.index, partner: ticket.isPartner)
            if verdict == .hold {
                admission.hold(ticket, host: ticket.host.index, partner: ticket.isPartner)
            }
            metrics.note(admission)
            return verdict
        }
        switch verdict {
        case .start: journal(ticket, starting: true)
        case .queue: journal(ticket, starting: false)
        case .hold: break
        }
    }

    private func journal(_ ticket: MutatingTicket, starting: Bool) {
        guard let request = ticket.request else { return }
        outstanding.enter()
        let now = Self.wallClock()
        let left = ticket.arrival.expiresAt.map { $0 - .now }
        let accepted = AcceptedRequest(
            uniqueID: ticket.uniqueID,
            method: request.method,
            body: ticket.body,
            replyQueue: request.replyQueue,
            messageID: request.messageID,
            acceptedAt: now,
            expiresAt: left.map { now + $0.milliseconds }
        )
        ticket.host.journal.accept(accepted, started: starting) { [self] result in
            journalled(ticket, starting: starting, result)
        }
    }

    /// On a committer thread.
    private func journalled(_ ticket: MutatingTicket, starting: Bool, _ result: Result<Acceptance, any Error>) {
        switch result {
        case .success(.accepted(let entry)):
            ticket.host.link.settle(ticket.receipt, .acknowledge)
            var ticket = ticket
            ticket.entry = entry
            ticket.body = []
            ticket.receipt = nil
            if starting {
                start(ticket, isMarked: true)
            } else {
                enqueue(ticket)
                startWaiting()
            }
        case .success(.duplicate):
            ticket.host.link.settle(ticket.receipt, .acknowledge)
            metrics.duplicates.increment()
            monitor.end(ticket.watch)
            giveBackPlace(of: ticket, starting)
        case .failure(let error):
            refuse(ticket, error)
            giveBackPlace(of: ticket, starting)
        }
    }

    private func enqueue(_ ticket: MutatingTicket) {
        admission.withLock { admission in
            var ticket = ticket
            if admission.waiting > admission.limits.resident { ticket.request = nil }
            admission.enqueue(ticket, host: ticket.host.index, partner: ticket.isPartner)
        }
    }

    private func giveBackPlace(of ticket: MutatingTicket, _ starting: Bool) {
        admission.withLock { admission in
            if starting {
                admission.ended(host: ticket.host.index, partner: ticket.isPartner)
            } else {
                admission.withdraw(host: ticket.host.index, partner: ticket.isPartner)
            }
        }
        outstanding.leave()
        startWaiting()
    }

    /// A request that cannot be made durable: a caller is told; a cast stays with the broker and is tried again.
    private func refuse(_ ticket: MutatingTicket, _ error: any Error) {
        guard let request = ticket.request else { return }
        if request.isCall {
            ticket.host.link.settle(ticket.receipt, .acknowledge)
            monitor.end(ticket.watch)
            logger.error(
                "request not accepted",
                metadata: [LogKey.host: "\(ticket.host.name)", LogKey.error: "\(error)"]
            )
            let failure = RemoteFailure.runtimeError("the journal of host \(ticket.host.name) cannot be written")
            answer(request, .failure(failure), host: ticket.host, arrival: ticket.arrival, known: true)
        } else {
            let epoch = ticket.host.link.epoch
            timers.schedule(after: Self.journalPause) { [self] in
                // After a loss the broker delivers it again.
                if ticket.host.link.epoch == epoch { take(ticket) }
            }
        }
    }

    /// Starts what has a place now: first the waiting, then the held.
    func startWaiting() {
        defer { noteAdmission() }
        guard isServing.load(ordering: .acquiring), !isClosing.load(ordering: .acquiring) else { return }
        while let next = admission.withLock({ $0.next() }) { start(next, isMarked: next.wasStarted) }
        while let next = admission.withLock({ $0.nextHeld() }) {
            journal(next.ticket, starting: next.verdict == .start)
        }
    }

    /// Milliseconds since 1970.
    static func wallClock() -> Int64 {
        var time = timespec()
        clock_gettime(CLOCK_REALTIME, &time)
        return Int64(time.tv_sec) * 1_000 + Int64(time.tv_nsec) / 1_000_000
    }
}
