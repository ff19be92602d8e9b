import Observability
import ServiceLifecycle
import UnixSignals

/// Feeds systemd's watchdog for as long as the process can do its work, also while it drains.
///
/// A sign of life needs an answer of every connection's thread and a turn on Swift's task threads; when one of them
/// hangs, none is sent, and systemd ends and starts the service. Nothing waits for a disk here: a restart mends none.
struct Watchdog: Service {
    let worker: RegisteredWorker
    let notifier: SystemdNotifier
    /// Set when the process is told to stop; an upgrade in progress then ends as a stop.
    let isStopped: Box<Bool>

    func run() async throws {
        let stops = await UnixSignalsSequence(trapping: .sigterm, .sigint)
        await withTaskGroup(of: Void.self) { group in
            group.addTask {
                for await _ in stops { isStopped.value = true }
            }
            if let interval = notifier.watchdogInterval {
                group.addTask {
                    while !Task.isCancelled {
                        await worker.checkIn()
                        notifier.watchdog()
                        try? await Task.sleep(for: interval)
                    }
                }
            }
            // Last of all services to stop.
            try? await gracefulShutdown()
            group.cancelAll()
        }
    }
}
