import Configuration
import Glibc
import Logging
import Observability
import RPCWorker
import ServiceLifecycle
import Support
import UnixSignals

/// Builds the service from its settings and runs it until SIGTERM, SIGINT or an upgrade.
enum Daemon {
    /// What comes after the end.
    enum Ending {
        case exit
        /// The program now installed is to go on, with these variables added to its environment.
        case replace([String: String])
    }

    static func run(_ settings: Settings, sources: ConfigurationSources) async throws -> Ending {
        signal(SIGPIPE, SIG_IGN)
        umask(0o077)
        if !settings.limits.coreDumps { ProcessEnvironment.forbidCoreDumps() }
        ProcessEnvironment.raiseDescriptorLimit()
        // Read once: programs that are started from here need not know it.
        let seed = EnvironmentVariables.all[Upgrader.seedVariable] ?? UniqueID.make()
        unsetenv(Upgrader.seedVariable)
        try PrivateDirectory.prepare(settings.statePath)
        let observability = try ObservabilityStack(settings)
        let logger = Logger(label: "vmopsd")
        let hosts = try await HostFleet(settings, logger: logger)
        let workers = WorkerSet(hosts: hosts.served(identityVersion: Version.text)) { served in
            try RPCWorker(
                hosts: served,
                connection: try settings.connectionOptions(name: ProcessEnvironment.connectionName()),
                settings: RPCWorkerSettings(settings, fanoutSeed: seed),
                logger: logger
            )
        }
        try await hosts.start()
        let admin = try observability.adminServer(settings, workers: workers, hosts: hosts)
        let current = Box(settings)
        let isStopped = Box(false)
        let notifier = SystemdNotifier(environment: EnvironmentVariables.all)
        let upgrader = Upgrader(settings: current, workers: workers, notifier: notifier, logger: logger)
        let reloader = Reloader(
            current,
            sources: sources,
            observability: observability,
            hosts: hosts,
            workers: workers,
            logger: logger
        )
        let registered = RegisteredWorker(workers: workers, hosts: hosts, logger: logger)
        let announcer = Announcer(
            worker: registered,
            hosts: hosts,
            notifier: notifier,
            upgrade: upgrader,
            logger: logger
        )
        // Shut down in reverse order: first the requests, then the consoles, last the signs of life.
        var services: [ServiceGroupConfiguration.ServiceConfiguration] = [
            .init(service: Watchdog(worker: registered, notifier: notifier, isStopped: isStopped)),
            .init(service: hosts),
        ]
        services += [admin].compactMap { $0 }.map { .init(service: $0) }
        services += [.init(service: reloader), .init(service: registered)]
        services.append(.init(service: announcer))
        services.append(.init(service: upgrader, successTerminationBehavior: .gracefullyShutdownGroup))
        let group = ServiceGroup(
            configuration: ServiceGroupConfiguration(
                services: services,
                gracefulShutdownSignals: [.sigterm, .sigint],
                logger: logger
            )
        )
        do {
            try await group.run()
        } catch {
            await observability.flush()
            throw error
        }
        let goesOn = upgrader.isUnderWay && !isStopped.value
        logger.info(goesOn ? "making room for the new program" : "stopped")
        await observability.flush()
        return goesOn ? .replace([Upgrader.seedVariable: seed]) : .exit
    }
}
