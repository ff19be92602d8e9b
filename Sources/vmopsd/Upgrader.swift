import Configuration
import Logging
import Observability
import RPCWorker
import ServiceLifecycle
import Subprocess
import Support
import Synchronization
import SystemPackage
import UnixSignals

/// On SIGUSR2, ends the services in order so that the program now installed goes on in this process's place.
///
/// The new program is asked about the configuration first; one that does not run, or does not like it, changes nothing.
/// Requests wait with the broker or in the journal meanwhile, machines run on, and the fan-out queues stay. The end of
/// ``run()`` is what shuts the services down; the program is replaced when all of them have ended.
final class Upgrader: Service {
    /// The variable by which a program hands the seed of its fan-out queues to the next.
    static let seedVariable = "VMOPSD_FANOUT_SEED"

    private let settings: Box<Settings>
    private let workers: WorkerSet
    private let notifier: SystemdNotifier
    private let logger: Logger
    private let underWay = Atomic<Bool>(false)

    /// - Parameter settings: those in force, which a reload replaces.
    init(settings: Box<Settings>, workers: WorkerSet, notifier: SystemdNotifier, logger: Logger) {
        self.settings = settings
        self.workers = workers
        self.notifier = notifier
        self.logger = logger
    }

    /// Whether the services end to make room for the new program.
    var isUnderWay: Bool { underWay.load(ordering: .acquiring) }

    func run() async throws {
        let requests = await UnixSignalsSequence(trapping: .sigusr2)
        for await _ in requests.cancelOnGracefulShutdown() {
            if let complaint = await complaint() {
                logger.error("upgrade refused, nothing changed", metadata: ["reason": "\(complaint)"])
                continue
            }
            logger.notice("upgrade begins", metadata: ["program": "\(ProgramImage.path)"])
            underWay.store(true, ordering: .releasing)
            notifier.reloading()
            workers.handOver(drainTimeout: settings.value.limits.upgradeTimeout)
            return
        }
    }

    /// Why the program now installed cannot go on here; `nil` when it can.
    private func complaint() async -> String? {
        do {
            let outcome = try await withDeadline(.seconds(30)) {
                try await Subprocess.run(
                    .path(FilePath(ProgramImage.path)),
                    arguments: Arguments(CommandLine.arguments.dropFirst() + ["--check-config"]),
                    output: .discarded,
                    error: .string(limit: 64 << 10)
                )
            }
            guard outcome.terminationStatus != .exited(0) else { return nil }
            let words = outcome.standardError.split(separator: "\n").first { $0.contains("error") }
            return "\(ProgramImage.path) --check-config: \(words.map(String.init) ?? "\(outcome.terminationStatus)")"
        } catch {
            return "\(ProgramImage.path) does not run: \(error)"
        }
    }
}
