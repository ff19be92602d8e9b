import AMQPTransport
import Metrics
import OsloMessaging
import Support
import Synchronization

extension RequestEngine {
    /// Takes a read that may wait, in a task of its own or in line. The delivery is settled here or when it starts.
    ///
    /// - Returns: whether the delivery is to be acknowledged now.
    func take(_ ticket: ReadTicket) -> Bool {
        var ticket = ticket
        let verdict = reads.withLock { gate in
            let verdict = gate.offer()
            if verdict == .waitUnsettled { gate.wait(ticket) }
            return verdict
        }
        guard verdict != .waitUnsettled else { return false }
        ticket.receipt = nil
        guard ticket.host.isNew(ticket.request.uniqueID) else {
            metrics.duplicates.increment()
            monitor.end(ticket.watch)
            if verdict == .start, let next = reads.withLock({ $0.ended() }) { start(next) }
            return true
        }
        outstanding.enter()
        if verdict == .start {
            start(ticket)
        } else {
            reads.withLock { $0.wait(ticket) }
        }
        return true
    }

    private func start(_ first: ReadTicket) {
        reading.start { [self] in
            var next: ReadTicket? = first
            while let ticket = next {
                await run(ticket)
                next = reads.withLock { $0.ended() }
            }
        }
    }

    private func run(_ ticket: ReadTicket) async {
        defer { monitor.end(ticket.watch) }
        if let receipt = ticket.receipt {
            ticket.host.link.settle(receipt, .acknowledge)
            guard ticket.host.isNew(ticket.request.uniqueID) else {
                metrics.duplicates.increment()
                return
            }
            outstanding.enter()
        }
        defer { outstanding.leave() }
        let request = ticket.request
        guard !ticket.arrival.isExpired(at: .now) else {
            metrics.expired.increment()
            log.ended(
                request,
                host: ticket.host.name,
                outcome: .expired,
                duration: ticket.arrival.elapsed,
                isRead: true
            )
            return
        }
        let result = await perform(request, host: ticket.host, ticket.handler)
        monitor.end(ticket.watch)
        answer(request, result, host: ticket.host, arrival: ticket.arrival, known: true)
    }

    /// Sends the reply of a request that is not journalled, logs and counts it.
    ///
    /// - Parameter known: whether an endpoint has the method.
    func answer(
        _ request: RPCRequest,
        _ result: Result<JSONValue, RemoteFailure>,
        host: HostService,
        arrival: Arrival,
        known: Bool
    ) {
        if let address = request.reply {
            let message = reply(
                result,
                to: address,
                method: request.method,
                host: host.name,
                requestID: request.requestID
            )
            host.publisher.send(message)
        }
        let outcome = OperationOutcome(result)
        let duration = arrival.elapsed
        metrics.ended(known ? request.method : nil, after: duration, failed: outcome.isFailure)
        log.ended(request, host: host.name, outcome: outcome, duration: duration, isRead: true)
    }
}
