import RPCWorker
import ServiceLifecycle

/// Serves once the hosts are known to their control plane, if they have one.
struct RegisteredWorker: Service {
    let worker: RPCWorker
    let hosts: HostFleet
    private let hasBegun = Box(false)
    /// Ends when the worker runs, or is not going to.
    private let decision: AsyncStream<Never>
    private let decided: AsyncStream<Never>.Continuation

    init(worker: RPCWorker, hosts: HostFleet) {
        self.worker = worker
        self.hosts = hosts
        (decision, decided) = AsyncStream.makeStream(of: Never.self)
    }

    func run() async throws {
        defer { decided.finish() }
        try await cancelWhenGracefulShutdown { try await hosts.waitUntilRegistered() }
        if Task.isShuttingDownGracefully || Task.isCancelled { return }
        hasBegun.value = true
        decided.finish()
        try await worker.run()
    }

    /// Returns when all sessions consume. To be called once.
    ///
    /// - Throws: `CancellationError`, also when the worker ended without having begun.
    func waitUntilReady() async throws {
        for await _ in decision {}
        guard hasBegun.value else { throw CancellationError() }
        try await worker.waitUntilReady()
    }

    /// Returns when the connections' threads have answered; at once when there are none yet.
    func checkIn() async {
        if hasBegun.value { await worker.checkIn() }
    }
}
