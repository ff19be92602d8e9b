import Configuration
import Logging
import RPCWorker
import ServiceLifecycle
import Support
import Synchronization
import UnixSignals

/// Reads the configuration again on SIGHUP and puts in force what can change at run time.
///
/// A configuration with errors changes nothing; options that need a restart are named and left as they are.
final class Reloader: Service {
    private let current: Box<Settings>
    private let sources: ConfigurationSources
    private let observability: ObservabilityStack
    private let hosts: HostFleet
    private let workers: WorkerSet
    private let logger: Logger

    init(
        _ current: Box<Settings>,
        sources: ConfigurationSources,
        observability: ObservabilityStack,
        hosts: HostFleet,
        workers: WorkerSet,
        logger: Logger
    ) {
        self.current = current
        self.sources = sources
        self.observability = observability
        self.hosts = hosts
        self.workers = workers
        self.logger = logger
    }

    func run() async throws {
        let hangups = await UnixSignalsSequence(trapping: .sighup)
        for await _ in hangups.cancelOnGracefulShutdown() {
            do {
                let sources = sources
                report(try await BlockingPool.shared.run { Settings.load(sources) })
            } catch {
                logger.error("configuration not read", metadata: ["error": "\(error)"])
            }
        }
    }

    private func report(_ result: LoadResult) {
        for problem in result.problems where problem.severity != .note {
            logger.warning("configuration", metadata: ["problem": "\(problem)"])
        }
        guard let settings = result.settings else {
            return logger.error("configuration has errors, nothing changed")
        }
        let (merged, difference) = current.value.reloading(settings)
        current.value = merged
        observability.apply(merged)
        hosts.apply(merged)
        workers.update(AdmissionLimits(merged.limits), drainTimeout: merged.limits.drainTimeout)
        for change in difference.applied { logger.notice("option changed", metadata: ["change": "\(change)"]) }
        for change in difference.needsRestart {
            logger.warning("option needs a restart", metadata: ["change": "\(change)"])
        }
        logger.notice("configuration reloaded", metadata: ["changes": "\(difference.applied.count)"])
    }
}
