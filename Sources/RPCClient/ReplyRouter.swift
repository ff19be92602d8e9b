import AMQPModel
import AMQPTransport
import Logging
import Metrics
import OsloMessaging
import Synchronization

/// Takes every message of the reply queue and hands it to whoever waits for its `_msg_id` (oslo.messaging wire,
/// section 11). Deliveries come on the session's thread.
final class ReplyRouter: DeliveryHandler {
    private struct State {
        var pending: [String: any PendingRequest] = [:]
        var isClosed = false
    }

    let watch: ConnectionWatch
    private let limit: Int
    private let logger: Logger
    private let state = Mutex(State())
    private let dropped = Atomic<UInt64>(0)
    private let unanswered = Atomic<UInt64>(0)
    private let droppedCounter = Counter(label: "vmops_rpc_client_replies_dropped_total")
    private let requestCounter = Counter(label: "vmops_rpc_client_requests_total")

    init(limit: Int, watch: ConnectionWatch, logger: Logger) {
        self.limit = limit
        self.watch = watch
        self.logger = logger
    }

    /// Replies that nobody waited for, or that were none.
    var droppedReplies: UInt64 { dropped.load(ordering: .relaxed) }
    /// Requests whose answer was not waited for to the end, so that it may still come.
    var unansweredRequests: UInt64 { unanswered.load(ordering: .relaxed) }
    var waiting: Int { state.withLock { $0.pending.count } }

    func register(_ id: String, _ request: any PendingRequest) throws(RPCClientError) {
        let refusal = state.withLock { state -> RPCClientError? in
            if state.isClosed { return RPCClientError(.closed, "the client is closed") }
            guard state.pending.count < limit else {
                return RPCClientError(.tooMany, "\(limit) requests wait for their answers already")
            }
            state.pending[id] = request
            return nil
        }
        if let refusal { throw refusal }
        requestCounter.increment()
    }

    /// - Parameter answered: `false` when an answer may still come.
    func remove(_ id: String, answered: Bool) {
        state.withLock { _ = $0.pending.removeValue(forKey: id) }
        if !answered { unanswered.add(1, ordering: .relaxed) }
    }

    /// Ends everything that waits; nothing new is taken.
    func close() {
        let pending = state.withLock { state in
            state.isClosed = true
            defer { state.pending = [:] }
            return state.pending.values
        }
        for request in pending { request.fail(RPCClientError(.closed, "the client was closed before the answer came")) }
    }

    func received(_ delivery: Delivery) -> Settlement? {
        guard delivery.discardedBytes == 0 else {
            drop("a reply of \(delivery.discardedBytes) bytes is above the limit")
            return .reject(requeue: false)
        }
        let reply: RPCReply
        do {
            reply = try RPCReply(body: delivery.body, properties: delivery.properties)
        } catch {
            drop("not a reply: \(error)")
            return .reject(requeue: false)
        }
        let request = state.withLock { $0.pending[reply.messageID] }
        guard let request else {
            drop("nobody waits for a reply to message \(reply.messageID)")
            return .acknowledge
        }
        request.received(reply)
        return .acknowledge
    }

    func sessionChanged(_ event: SessionEvent) { watch.changed(event) }

    private func drop(_ reason: String) {
        dropped.add(1, ordering: .relaxed)
        droppedCounter.increment()
        logger.debug("reply dropped", metadata: ["reason": "\(reason)"])
    }
}
