import AMQPModel
import Metrics
import OsloMessaging
import Synchronization

/// Sends the heartbeats of monitored calls (oslo.messaging wire, section 9): one timer for all, the first heartbeat
/// half the caller's timeout after reception, none after ``end(_:)``.
final class CallMonitor: Sendable {
    /// A call being monitored.
    struct Watch: Sendable {
        fileprivate let id: UInt64
    }

    private final class Call: Sendable {
        let address: ReplyAddress
        let interval: Duration
        let publisher: ReplyPublisher
        /// A heartbeat could not be sent: none follows.
        let failed = Atomic<Bool>(false)

        init(address: ReplyAddress, interval: Duration, publisher: ReplyPublisher) {
            self.address = address
            self.interval = interval
            self.publisher = publisher
        }
    }

    private struct State {
        var next: UInt64 = 0
        var calls: [UInt64: Call] = [:]
        var encoder: ReplyEncoder
    }

    private let timers: TimerQueue
    private let metrics: WorkerMetrics
    private let state: Mutex<State>

    init(timers: TimerQueue, mandatory: Bool, metrics: WorkerMetrics) {
        self.timers = timers
        self.metrics = metrics
        state = Mutex(State(encoder: ReplyEncoder(mandatory: mandatory)))
    }

    var count: Int { state.withLock { $0.calls.count } }

    /// Starts heartbeats for a request that asks for them; `nil` for any other.
    func begin(_ request: RPCRequest, through publisher: ReplyPublisher) -> Watch? {
        guard let address = request.reply, let interval = request.heartbeatInterval else { return nil }
        let call = Call(address: address, interval: interval, publisher: publisher)
        let id = state.withLock { state in
            state.next += 1
            state.calls[state.next] = call
            return state.next
        }
        schedule(id, after: interval)
        return Watch(id: id)
    }

    /// Ends the heartbeats; when this returns, none is sent any more.
    func end(_ watch: Watch?) {
        guard let watch else { return }
        state.withLock { _ = $0.calls.removeValue(forKey: watch.id) }
    }

    private func schedule(_ id: UInt64, after interval: Duration) {
        timers.schedule(after: interval) { [self] in beat(id) }
    }

    private func beat(_ id: UInt64) {
        // Published under the lock, so that no heartbeat can follow the final reply. The completion touches only the
        // call itself: it may run before `sendOnce` returns.
        let interval = state.withLock { state -> Duration? in
            guard let call = state.calls[id] else { return nil }
            if call.failed.load(ordering: .relaxed) {
                state.calls[id] = nil
                return nil
            }
            metrics.heartbeats.increment()
            call.publisher.sendOnce(state.encoder.heartbeat(to: call.address)) { outcome in
                if outcome != .confirmed { call.failed.store(true, ordering: .relaxed) }
            }
            return call.interval
        }
        if let interval { schedule(id, after: interval) }
    }
}
