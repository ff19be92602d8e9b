package import AMQPModel
import AMQPTransport
package import Logging
package import OsloMessaging
package import Support

/// Calls, casts and fan-outs to oslo.messaging servers (oslo.messaging wire, section 11).
///
/// One session and one reply queue serve all requests. Both names stay over reconnections, and what was sent and not
/// confirmed when the connection broke is sent again with the same `_unique_id`. Requests may come from any number of
/// tasks at once; each waits on its own, and cancelling it removes its waiter at once.
package final class RPCClient: Sendable {
    private let session: BrokerSession
    private let router: ReplyRouter
    private let settings: RPCClientSettings
    private let replyQueue: String
    private let replySteps: [TopologyStep]

    package init(connection: ConnectionOptions, settings: RPCClientSettings = RPCClientSettings(), logger: Logger) {
        self.settings = settings
        replyQueue = RPCTopology.replyQueue(UniqueID.make())
        replySteps = RPCTopology.client(replyQueue: replyQueue, options: settings.topology)
        router = ReplyRouter(
            limit: settings.maximumWaiting,
            watch: ConnectionWatch(addresses: connection.addresses.count),
            logger: logger
        )
        session = BrokerSession(
            options: connection,
            settings: SessionSettings(
                topology: replySteps,
                prefetch: UInt16(clamping: settings.topology.prefetchCount),
                maximumMessageBytes: settings.maximumMessageBytes
            ),
            handler: router,
            logger: logger
        )
    }

    // MARK: - Life

    /// Connects and serves until ``close(draining:)`` or cancellation, whichever comes first; requests that still wait
    /// then fail.
    ///
    /// - Throws: `CancellationError`; `TransportError` when the session cannot run at all.
    package func run() async throws {
        defer { router.close() }
        try await session.run()
    }

    /// Returns once the client is connected. Requests may be made before; they are sent as soon as it is.
    ///
    /// - Parameter retry: how many rounds over all addresses may fail after the first; `nil` = any number.
    /// - Throws: ``RPCClientError`` `unreachable` with the address and reason of the last attempt; `CancellationError`.
    package func waitUntilReady(retry: Int? = nil) async throws {
        let ready = OneShot<Void>()
        let patience = router.watch.begin(retry: retry, roles: [.publishing, .consuming]) {
            ready.resolve(.failure($0))
        }
        defer { router.watch.end(patience) }
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { [session] in
                do {
                    try await session.waitUntilReady()
                    ready.resolve(.success(()))
                } catch {
                    ready.resolve(.failure(error))
                }
            }
            defer { group.cancelAll() }
            try await ready.value()
        }
    }

    /// Ends the client in order: nothing new is sent, what waits to be sent gets `draining`, what waits for an answer
    /// fails. The reply queue is deleted unless ``RPCClientSettings/keepsReplyQueue`` or an answer is still owed.
    package func close(draining: Duration = .seconds(2)) async {
        let owed = router.waiting > 0 || router.unansweredRequests > 0
        router.close()
        if !settings.keepsReplyQueue, !owed { session.remove(replySteps, deletingQueues: [replyQueue]) }
        await session.close(draining: draining)
    }

    // MARK: - Requests

    /// Calls a method and waits for its result.
    ///
    /// - Parameters:
    ///   - timeout: for the answer, counted from when the broker has the request, and before that for the sending;
    ///     `nil` = ``RPCClientSettings/responseTimeout``. A request nobody took in that time is dropped by the broker.
    ///   - monitorTimeout: ask for heartbeats and give up when nothing comes for so long, at least two seconds.
    ///   - mandatory: fail at once when there is no queue for the target (`at_least_once`).
    ///   - retry: how many rounds of connecting may fail after the first while the request is unsent; `nil` or negative
    ///     = any number within `timeout`.
    /// - Throws: `RemoteFailure` when the method failed; ``RPCClientError``; `CancellationError`, the method may run
    ///   all the same.
    package func call(
        _ target: RPCTarget,
        _ method: String,
        _ args: JSONObject = [:],
        context: JSONObject = [:],
        timeout: Duration? = nil,
        monitorTimeout: Duration? = nil,
        mandatory: Bool = false,
        retry: Int? = nil
    ) async throws -> JSONValue {
        guard !target.fanout else {
            throw RPCClientError(.invalidTarget, "a fan-out target cannot be called; gather its answers")
        }
        let subject = "\(method) on \(target.queue ?? target.topic)"
        let limit = timeout ?? settings.responseTimeout
        let address = ReplyAddress(messageID: UniqueID.make(), queue: replyQueue)
        let body = try encode(target, method, args, context, address, monitorTimeout)
        let pending = PendingCall(
            subject: subject,
            progress: CallProgress(timeout: limit, monitorTimeout: monitorTimeout, now: .now),
            problem: { [watch = router.watch] in watch.problem }
        )
        let message = OutboundMessage.call(body, to: target, timeout: limit, mandatory: mandatory)
        return try await exchange(address.messageID, pending, message, target, retry) { try await pending.value() }
    }

    /// Sends a request without an answer; returns when the broker has it.
    ///
    /// A cast does not expire: a host that is down runs it when it comes back.
    /// - Throws: ``RPCClientError``; `CancellationError`, the message may be sent all the same.
    package func cast(
        _ target: RPCTarget,
        _ method: String,
        _ args: JSONObject = [:],
        context: JSONObject = [:],
        mandatory: Bool = false,
        retry: Int? = nil
    ) async throws {
        let subject = "\(method) to \(target.queue ?? "all of \(target.topic)")"
        let body = try encode(target, method, args, context, nil, nil)
        let message = OutboundMessage.cast(body, to: target, mandatory: mandatory)
        let end = OneShot<Void>()
        let patience = router.watch.begin(retry: retry) { end.resolve(.failure($0)) }
        defer { router.watch.end(patience) }
        session.publish(message, declaring: steps(target)) { outcome in
            end.resolve(RPCClientError(outcome, subject: subject).map { .failure($0) } ?? .success(()))
        }
        try await end.value()
    }

    /// Casts to every host of a topic; see ``cast(_:_:_:context:mandatory:retry:)``.
    package func fanout(
        _ target: RPCTarget,
        _ method: String,
        _ args: JSONObject = [:],
        context: JSONObject = [:],
        retry: Int? = nil
    ) async throws {
        try await cast(target.toAll, method, args, context: context, retry: retry)
    }

    /// Sends a fan-out that every host answers, and collects the answers in the order in which they come.
    ///
    /// Servers answer whatever carries a reply address, so this works with any; nothing tells how many there are.
    /// - Parameters:
    ///   - deadline: when to stop, counted from when the broker has the request.
    ///   - expected: stop when so many have answered.
    ///   - quiet: stop when after an answer none came for so long, or for as long as that answer took.
    /// - Throws: ``RPCClientError``; `CancellationError`.
    package func gather(
        _ target: RPCTarget,
        _ method: String,
        _ args: JSONObject = [:],
        context: JSONObject = [:],
        deadline: Duration,
        expected: Int? = nil,
        quiet: Duration? = nil,
        retry: Int? = nil
    ) async throws -> [GatheredReply] {
        let target = target.toAll
        let address = ReplyAddress(messageID: UniqueID.make(), queue: replyQueue)
        let body = try encode(target, method, args, context, address, nil)
        let pending = PendingGather(
            subject: "\(method) to all of \(target.topic)",
            progress: GatherProgress(
                deadline: deadline,
                expected: expected,
                quiet: quiet,
                maximum: settings.maximumGathered,
                now: .now
            ),
            problem: { [watch = router.watch] in watch.problem }
        )
        // Unlike a cast it is of no use later.
        var message = OutboundMessage.fanout(body, topic: target.topic)
        message.properties = OsloProperties.call(timeout: deadline)
        return try await exchange(address.messageID, pending, message, target, retry) { try await pending.replies() }
    }

    // MARK: - Observing

    /// Replies that came too late, twice, or for nobody.
    package var droppedReplies: UInt64 { router.droppedReplies }
    /// Requests that wait for answers.
    package var waiting: Int { router.waiting }
    /// Why nothing gets through at present; `nil` when all is well.
    package var connectionProblem: String? { router.watch.problem }

    // MARK: - Parts

    /// Registers a request before it is published, and forgets it however it ends.
    private func exchange<Value>(
        _ id: String,
        _ pending: some PendingRequest,
        _ message: OutboundMessage,
        _ target: RPCTarget,
        _ retry: Int?,
        _ wait: () async throws -> Value
    ) async throws -> Value {
        try router.register(id, pending)
        let patience = router.watch.begin(retry: retry) { pending.fail($0) }
        defer { router.watch.end(patience) }
        session.publish(message, declaring: steps(target)) { pending.published($0) }
        do {
            let value = try await wait()
            router.remove(id, answered: true)
            return value
        } catch {
            let isFinal = error is RemoteFailure || (error as? RPCClientError)?.code == .undeliverable
            router.remove(id, answered: isFinal)
            throw error
        }
    }

    private func steps(_ target: RPCTarget) -> [TopologyStep] {
        target.fanout
            ? RPCTopology.fanoutCaster(topic: target.topic, options: settings.topology)
            : RPCTopology.sender(exchange: target.exchange, options: settings.topology)
    }

    private func encode(
        _ target: RPCTarget,
        _ method: String,
        _ args: JSONObject,
        _ context: JSONObject,
        _ reply: ReplyAddress?,
        _ monitorTimeout: Duration?
    ) throws(RPCClientError) -> [UInt8] {
        guard !target.topic.isEmpty else { throw RPCClientError(.invalidTarget, "the target has no topic") }
        let request = RPCRequest(
            method: method,
            args: args,
            namespace: target.namespace,
            version: target.version,
            reply: reply,
            timeoutValue: monitorTimeout.map(Self.seconds) ?? .null,
            uniqueID: UniqueID.make(),
            context: context
        )
        do {
            return try request.encode()
        } catch {
            throw RPCClientError(.unencodable, "\(method) cannot be written as JSON", cause: error)
        }
    }

    /// As Python writes the number it is given.
    private static func seconds(_ duration: Duration) -> JSONValue {
        let (seconds, attoseconds) = duration.components
        return attoseconds == 0 ? .int(seconds) : .double(Double(seconds) + Double(attoseconds) / 1e18)
    }
}

extension RPCTarget {
    var toAll: RPCTarget {
        var target = self
        target.fanout = true
        target.server = nil
        return target
    }
}

/// Runs a client while `body` runs, and closes it in order; after cancellation without waiting for what is unsent.
package func withRPCClient<Value: Sendable>(
    connection: ConnectionOptions,
    settings: RPCClientSettings = RPCClientSettings(),
    logger: Logger,
    _ body: (RPCClient) async throws -> Value
) async throws -> Value {
    let client = RPCClient(connection: connection, settings: settings, logger: logger)
    return try await withThrowingTaskGroup(of: Void.self) { group in
        group.addTask { try await client.run() }
        let result: Result<Value, any Error>
        do {
            result = .success(try await body(client))
        } catch {
            result = .failure(error)
        }
        let isUnreachable = client.connectionProblem != nil
        await client.close(draining: Task.isCancelled || isUnreachable ? .zero : .seconds(2))
        group.cancelAll()
        return try result.get()
    }
}
