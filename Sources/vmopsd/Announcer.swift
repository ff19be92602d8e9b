import Logging
import Observability
import RPCWorker
import ServiceLifecycle

/// Tells the log and systemd when the worker serves, and that it is stopping.
struct Announcer: Service {
    let worker: RPCWorker
    let hosts: HostFleet
    let logger: Logger

    func run() async throws {
        let notifier = SystemdNotifier(environment: ProcessEnvironment.variables)
        try await cancelWhenGracefulShutdown {
            do {
                try await worker.waitUntilReady()
                logger.info("serving", metadata: ["hosts": "\(hosts.names.joined(separator: ","))"])
                _ = notifier.ready(status: "serving \(hosts.names.count) hosts")
                while true {
                    try await Task.sleep(for: .seconds(10))
                    _ = notifier.watchdog()
                }
            } catch is CancellationError {
                return
            }
        }
        _ = notifier.stopping()
    }
}
