package import AMQPTransport

/// What a worker looks like at one moment, for health checks and `vmopsctl`.
package struct RPCWorkerStatus: Sendable {
    package var sessions: [SessionStatus]
    /// Mutating operations: running, waiting in a journal, left unacknowledged with the broker.
    package var running: Int
    package var queued: Int
    package var held: Int
    /// Returned replies that wait for their next attempt.
    package var repliesOwed: Int
    /// Calls that get heartbeats.
    package var monitoredCalls: Int
    /// Requests taken and not yet ended.
    package var outstanding: Int
    /// A graceful shutdown has begun.
    package var isStopping: Bool

    /// All sessions serve.
    package var isReady: Bool { !isStopping && !sessions.isEmpty && sessions.allSatisfy(\.isReady) }
}

extension RPCWorkerStatus {
    /// Several workers as if they were one; none at all is not ready.
    package init(of workers: [RPCWorkerStatus]) {
        self.init(
            sessions: workers.flatMap(\.sessions),
            running: workers.reduce(0) { $0 + $1.running },
            queued: workers.reduce(0) { $0 + $1.queued },
            held: workers.reduce(0) { $0 + $1.held },
            repliesOwed: workers.reduce(0) { $0 + $1.repliesOwed },
            monitoredCalls: workers.reduce(0) { $0 + $1.monitoredCalls },
            outstanding: workers.reduce(0) { $0 + $1.outstanding },
            isStopping: workers.contains(where: \.isStopping)
        )
    }
}
