import RPCWorker
import ServiceLifecycle

/// Serves once the hosts are known to their control plane, if they have one.
struct RegisteredWorker: Service {
    let worker: RPCWorker
    let hosts: HostFleet

    func run() async throws {
        try await cancelWhenGracefulShutdown { try await hosts.waitUntilRegistered() }
        if Task.isShuttingDownGracefully || Task.isCancelled { return }
        try await worker.run()
    }
}
