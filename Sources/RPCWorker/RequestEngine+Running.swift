import AMQPModel
import Journal
import Logging
import Metrics
import OsloMessaging
import Support
import Synchronization

/// The life of a mutating request that has its place among the running.
extension RequestEngine {
    /// Pause before the end of an operation is written again after a failure.
    private static let finishPause = Duration.seconds(1)

    /// How a mutating request ended.
    private enum Ending {
        case result(Result<JSONValue, RemoteFailure>)
        case expired
    }

    /// - Parameter isMarked: the journal knows already that the operation begins.
    func start(_ ticket: MutatingTicket, isMarked: Bool) {
        tasks.start { [self] in
            await run(ticket, isMarked: isMarked)
            admission.withLock { $0.ended(host: ticket.host.index, partner: ticket.isPartner) }
            outstanding.leave()
            startWaiting()
        }
    }

    private func run(_ ticket: MutatingTicket, isMarked: Bool) async {
        guard let entry = ticket.entry else { return }
        let request: RPCRequest
        do {
            guard let loaded = try await load(ticket, entry) else {
                return monitor.end(ticket.watch)
            }
            request = loaded
        } catch {
            // Stays in the journal for the next start.
            monitor.end(ticket.watch)
            logger.error(
                "accepted request cannot be read back",
                metadata: [LogKey.host: "\(ticket.host.name)", LogKey.error: "\(error)"]
            )
            return
        }
        let turn = ContinuousClock.now
        let ending = await outcome(of: ticket, entry, request, turn: turn, isMarked: isMarked)
        await end(ticket, entry, request, ending, waited: turn - ticket.arrival.receivedAt)
    }

    /// Ends a request that was accepted and is not going to run.
    func refuse(_ ticket: MutatingTicket, _ entry: EntryID, _ failure: RemoteFailure) async {
        guard let request = try? await load(ticket, entry) else { return monitor.end(ticket.watch) }
        await end(ticket, entry, request, .result(.failure(failure)))
    }

    /// The request, from the journal when it was not kept; `nil` when it has ended meanwhile.
    private func load(_ ticket: MutatingTicket, _ entry: EntryID) async throws -> RPCRequest? {
        if let request = ticket.request { return request }
        guard let accepted = try await ticket.host.journal.request(entry) else { return nil }
        switch decoder.decode(body: accepted.body, properties: OsloProperties.plain) {
        case .request(let request): return request
        case .rejected(let rejection): throw rejection
        case .answerable, .ignored: throw RPCWorkerError(.journal, "journal entry \(entry.number) is no request")
        }
    }

    private func outcome(
        of ticket: MutatingTicket,
        _ entry: EntryID,
        _ request: RPCRequest,
        turn: ContinuousClock.Instant,
        isMarked: Bool
    ) async -> Ending {
        if ticket.wasStarted { return .result(await recover(ticket, request)) }
        if ticket.arrival.isExpired(at: turn) { return .expired }
        if !isMarked {
            do {
                try await ticket.host.journal.started(entry)
            } catch {
                return .result(.failure(failure(of: error, request.method, ticket.host)))
            }
        }
        return .result(await execute(ticket, request))
    }

    private func execute(_ ticket: MutatingTicket, _ request: RPCRequest) async -> Result<JSONValue, RemoteFailure> {
        if let handler = ticket.handler { return await perform(request, host: ticket.host, handler) }
        switch ticket.host.dispatcher.resolve(request) {
        case .failure(let failure): return .failure(failure)
        case .success(let method):
            switch method.handler {
            case .inline(let body): return await perform(request, host: ticket.host) { try body($0) }
            case .immediate(_, let body), .read(let body), .mutating(let body):
                return await perform(request, host: ticket.host, body)
            }
        }
    }

    /// Asks what became of an operation that a restart interrupted.
    private func recover(_ ticket: MutatingTicket, _ request: RPCRequest) async -> Result<JSONValue, RemoteFailure> {
        metrics.recovered.increment()
        guard let recovery = ticket.host.recovery else {
            return .failure(.runtimeError("the host was restarted while \(request.method) ran"))
        }
        switch await recovery.recover(request) {
        case .run: return await execute(ticket, request)
        case .finished(let value): return .success(value)
        case .failed(let failure): return .failure(failure)
        }
    }

    /// Writes the end and the reply that is owed, then sends the reply.
    ///
    /// - Parameter waited: until its turn came; `nil` when it never did.
    private func end(
        _ ticket: MutatingTicket,
        _ entry: EntryID,
        _ request: RPCRequest,
        _ ending: Ending,
        waited: Duration? = nil
    ) async {
        monitor.end(ticket.watch)
        let host = ticket.host
        let outcome: OperationOutcome
        var message: OutboundMessage?
        switch ending {
        case .expired:
            metrics.expired.increment()
            outcome = .expired
        case .result(let result):
            outcome = OperationOutcome(result)
            if let address = request.reply {
                message = reply(
                    result,
                    to: address,
                    method: request.method,
                    host: host.name,
                    requestID: request.requestID
                )
            }
        }
        if isLeftToNext(outcome) {
            logger.notice(
                "operation left to the next process",
                metadata: [LogKey.host: "\(host.name)", LogKey.method: "\(request.method)"]
            )
            return
        }
        let kept = outcome.kept
        do {
            let owed = message.map { OwedReply(queue: $0.routingKey, body: $0.body) }
            try await host.journal.finish(entry, outcome: kept, reply: owed)
            if let message { host.publisher.send(message, owed: OwedRecord(journal: host.journal, entry: entry)) }
        } catch {
            logger.error(
                "end of an operation not written yet",
                metadata: [LogKey.host: "\(host.name)", LogKey.method: "\(request.method)", LogKey.error: "\(error)"]
            )
            if let message { host.publisher.send(message) }
            finishLater(host, entry, kept)
        }
        let duration = ticket.arrival.elapsed
        metrics.ended(request.method, after: duration, failed: outcome.isFailure)
        log.ended(request, host: host.name, outcome: outcome, duration: duration, waited: waited, isRead: false)
    }

    /// Tries until the journal takes it. Bounded by the requests that were accepted: none is while the journal fails.
    private func finishLater(_ host: HostService, _ entry: EntryID, _ outcome: RequestOutcome) {
        timers.schedule(after: Self.finishPause) { [self] in
            host.journal.finish(entry, outcome: outcome, reply: nil) { [self] result in
                if case .failure(let error) = result, (error as? JournalError)?.code != .closed {
                    finishLater(host, entry, outcome)
                }
            }
        }
    }
}

extension OperationOutcome {
    var kept: RequestOutcome {
        switch self {
        case .succeeded: .succeeded
        case .failed(let failure): .failed(failure.className)
        case .expired: .expired
        }
    }
}
