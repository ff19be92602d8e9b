import Logging
import Observability
import ServiceLifecycle
import Support

/// Tells the log and systemd when the worker serves, and that it is stopping.
struct Announcer: Service {
    let worker: RegisteredWorker
    let hosts: HostFleet
    let notifier: SystemdNotifier
    let upgrade: Upgrader
    let logger: Logger

    func run() async throws {
        try await cancelWhenGracefulShutdown {
            do {
                try await worker.waitUntilReady()
                let served = hosts.load.filter { $0.refusal == nil }.map(\.host)
                logger.info("serving", metadata: ["hosts": "\(served.joined(separator: ","))"])
                notifier.ready(status: "serving \(served.count) hosts")
                try await BlockingPool.shared.run { _ = ResidentCode.giveBack() }
            } catch is CancellationError {
                return
            }
        }
        try? await gracefulShutdown()
        // An upgrade is none: the process goes on.
        if !upgrade.isUnderWay { notifier.stopping() }
    }
}
