import AMQPModel
import AMQPTransport
import Glibc
import Metrics
import OsloMessaging
import Support

/// What a session hands its deliveries to: finds the host, reads the message, chooses the method and how it runs
/// (oslo.messaging wire, section 6). Everything here happens on the session's I/O thread.
final class SessionSink: DeliveryHandler {
    private let engine: RequestEngine
    private let link: BrokerLink
    /// By consumer tag.
    private let hosts: [String: HostService]
    private let rules: RequestRules

    init(engine: RequestEngine, link: BrokerLink, hosts: [String: HostService]) {
        self.engine = engine
        self.link = link
        self.hosts = hosts
        rules = RequestRules(replyQueuePrefixes: engine.settings.replyQueuePrefixes)
    }

    func sessionChanged(_ event: SessionEvent) {
        if case .lost(.consuming, _) = event {
            link.consumingLost()
            engine.forgetUnsettled(on: link)
        }
    }

    func received(_ delivery: Delivery) -> Settlement? {
        engine.metrics.received.increment()
        guard let host = hosts[delivery.consumerTag] else { return .reject(requeue: true) }
        guard delivery.discardedBytes == 0 else {
            engine.metrics.rejected(.tooLarge)
            engine.log.rejected(delivery, reason: "too large")
            return .reject(requeue: false)
        }
        switch engine.decoder.decode(body: delivery.body, properties: delivery.properties) {
        case .request(let request):
            let violation = rules.violation(request.reply, uniqueID: request.uniqueID, method: request.method)
            if let violation { return reject(delivery, violation) }
            return dispatch(request, delivery, host)
        case .answerable(let call):
            let violation = rules.violation(call.reply, uniqueID: call.uniqueID, method: call.method)
            if let violation { return reject(delivery, violation) }
            return refuse(call, host)
        case .ignored: return .acknowledge
        case .rejected(let rejection):
            engine.metrics.rejected(rejection.code)
            engine.log.rejected(delivery, reason: "\(rejection)")
            return .reject(requeue: false)
        }
    }

    private func reject(_ delivery: Delivery, _ violation: String) -> Settlement {
        engine.metrics.rejected(.invalidRequest)
        engine.log.rejected(delivery, reason: violation)
        return .reject(requeue: false)
    }

    private func dispatch(_ request: RPCRequest, _ delivery: Delivery, _ host: HostService) -> Settlement? {
        let arrival = arrival(of: delivery, request)
        switch host.dispatcher.resolve(request) {
        case .failure(let failure):
            return answer(request, host, arrival, known: false) { throw failure }
        case .success(let method):
            switch method.handler {
            case .inline(let handler):
                return answer(request, host, arrival, known: true) { try handler(request) }
            case .immediate(let handler, let waiting):
                return answer(request, delivery, host, arrival, handler, waiting: waiting)
            case .read(let handler):
                return read(request, delivery, host, arrival, handler)
            case .mutating(let handler):
                engine.take(
                    MutatingTicket(
                        host: host,
                        request: request,
                        handler: handler,
                        uniqueID: request.uniqueID ?? UniqueID.make(),
                        arrival: arrival,
                        watch: engine.monitor.begin(request, through: host.publisher),
                        isCall: request.isCall,
                        isPartner: engine.settings.partnerMethods.contains(request.method),
                        body: Self.plainBody(delivery, request),
                        receipt: delivery.receipt
                    )
                )
                return nil
            }
        }
    }

    /// A read that may wait: runs as a task.
    private func read(
        _ request: RPCRequest,
        _ delivery: Delivery,
        _ host: HostService,
        _ arrival: Arrival,
        _ handler: @escaping @Sendable (RPCRequest) async throws -> JSONValue
    ) -> Settlement? {
        let ticket = ReadTicket(
            host: host,
            request: request,
            handler: handler,
            arrival: arrival,
            watch: engine.monitor.begin(request, through: host.publisher),
            receipt: delivery.receipt
        )
        return engine.take(ticket) ? .acknowledge : nil
    }

    /// Answers at once if the method knows its answer, else lets it run as a task.
    private func answer(
        _ request: RPCRequest,
        _ delivery: Delivery,
        _ host: HostService,
        _ arrival: Arrival,
        _ handler: (RPCRequest) throws -> JSONValue?,
        waiting: @escaping @Sendable (RPCRequest) async throws -> JSONValue
    ) -> Settlement? {
        let known: JSONValue?
        do {
            known = try handler(request)
        } catch {
            return answer(request, host, arrival, known: true) { throw error }
        }
        guard let known else { return read(request, delivery, host, arrival, waiting) }
        return answer(request, host, arrival, known: true) { known }
    }

    /// Answers at once, unless the request is a repetition.
    private func answer(
        _ request: RPCRequest,
        _ host: HostService,
        _ arrival: Arrival,
        known: Bool,
        _ body: () throws -> JSONValue
    ) -> Settlement {
        guard host.isNew(request.uniqueID) else {
            engine.metrics.duplicates.increment()
            return .acknowledge
        }
        let result: Result<JSONValue, RemoteFailure>
        do {
            result = .success(try body())
        } catch {
            result = .failure(engine.failure(of: error, request.method, host))
        }
        engine.answer(request, result, host: host, arrival: arrival, known: known)
        return .acknowledge
    }

    /// A call that nothing can run.
    private func refuse(_ call: AnswerableRequest, _ host: HostService) -> Settlement {
        var context = JSONObject()
        context["request_id"] = call.requestID.map(JSONValue.string)
        let request = RPCRequest(
            method: call.method ?? "-",
            reply: call.reply,
            uniqueID: call.uniqueID,
            context: context
        )
        let arrival = Arrival(receivedAt: .now, expiresAt: nil)
        return answer(request, host, arrival, known: false) { throw call.failure }
    }

    private func arrival(of delivery: Delivery, _ request: RPCRequest) -> Arrival {
        let now = ContinuousClock.now
        let limit = request.isCall ? delivery.properties.expiration.flatMap { Int64($0) } : nil
        // Above a year it is no limit, and must not overflow the clock.
        let bounded = limit.flatMap { (0..<31_536_000_000).contains($0) ? $0 : nil }
        return Arrival(receivedAt: now, expiresAt: bounded.map { now + .milliseconds($0) })
    }

    /// The body as it can be read without its properties: a compressed one is written anew.
    private static func plainBody(_ delivery: Delivery, _ request: RPCRequest) -> [UInt8] {
        guard let headers = delivery.properties.headers, headers["compression"] != nil else { return delivery.body }
        return (try? request.encode()) ?? delivery.body
    }
}
