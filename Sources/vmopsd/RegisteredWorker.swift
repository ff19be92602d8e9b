import RPCWorker
import ServiceLifecycle

/// Serves once the hosts are known to their control plane, if they have one.
struct RegisteredWorker: Service {
    let worker: RPCWorker
    let hosts: HostFleet
    private let hasBegun = Box(false)

    init(worker: RPCWorker, hosts: HostFleet) {
        self.worker = worker
        self.hosts = hosts
    }

    func run() async throws {
        try await cancelWhenGracefulShutdown { try await hosts.waitUntilRegistered() }
        if Task.isShuttingDownGracefully || Task.isCancelled { return }
        hasBegun.value = true
        try await worker.run()
    }

    /// Returns when the connections' threads have answered; at once when there are none yet.
    func checkIn() async {
        if hasBegun.value { await worker.checkIn() }
    }
}
