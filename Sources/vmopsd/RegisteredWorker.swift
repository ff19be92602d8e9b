import Logging
import NovaCompute
import RPCWorker
import ServiceLifecycle

/// Serves hosts once they are known to their control plane, if they have one.
///
/// It begins when of each host is known whether the control plane takes it. One that it refuses is left out, and served
/// as soon as it is registered after all.
struct RegisteredWorker: Service {
    let workers: WorkerSet
    let hosts: HostFleet
    let logger: Logger
    /// Ends when a worker runs, or none is going to.
    private let decision: AsyncStream<Never>
    private let decided: AsyncStream<Never>.Continuation
    private let hasBegun = Box(false)

    init(workers: WorkerSet, hosts: HostFleet, logger: Logger) {
        self.workers = workers
        self.hosts = hosts
        self.logger = logger
        (decision, decided) = AsyncStream.makeStream(of: Never.self)
    }

    /// - Throws: `ComputeServiceError` when the control plane takes none of the hosts.
    func run() async throws {
        defer { decided.finish() }
        let refusals = await cancelWhenGracefulShutdown { await hosts.untilDecided() }
        if Task.isShuttingDownGracefully || Task.isCancelled { return }
        let first = Set(hosts.names).subtracting(refusals.keys)
        if first.isEmpty, let refusal = refusals.values.first { throw refusal }
        try await withThrowingTaskGroup(of: Void.self) { group in
            let worker = try workers.add(first)
            hasBegun.value = true
            decided.finish()
            group.addTask { try await worker.run() }
            for host in refusals.keys.sorted() { group.addTask { try await serveLater(host) } }
            try await group.waitForAll()
        }
    }

    private func serveLater(_ host: String) async throws {
        let isRegistered = await cancelWhenGracefulShutdown { await hosts.untilRegistered(host) }
        guard isRegistered, !Task.isShuttingDownGracefully, !Task.isCancelled else { return }
        let worker = try workers.add([host])
        logger.notice("host is served now", metadata: ["host": "\(host)"])
        try await worker.run()
    }

    /// Returns when all sessions consume. To be called once.
    ///
    /// - Throws: `CancellationError`, also when it ended without having begun.
    func waitUntilReady() async throws {
        for await _ in decision {}
        guard hasBegun.value else { throw CancellationError() }
        try await workers.waitUntilReady()
    }

    /// Returns when the connections' threads have answered; at once when there are none yet.
    func checkIn() async { await workers.checkIn() }
}
