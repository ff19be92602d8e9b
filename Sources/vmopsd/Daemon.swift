import Configuration
import Glibc
import Logging
import Observability
import RPCWorker
import ServiceLifecycle
import UnixSignals

/// Builds the service from its settings and runs it until SIGTERM or SIGINT.
enum Daemon {
    static func run(_ settings: Settings, sources: ConfigurationSources) async throws {
        signal(SIGPIPE, SIG_IGN)
        umask(0o077)
        ProcessEnvironment.raiseDescriptorLimit()
        let observability = try ObservabilityStack(settings)
        let logger = Logger(label: "vmopsd")
        let hosts = try await HostFleet(settings, logger: logger)
        let worker = try RPCWorker(
            hosts: hosts.served(identityVersion: Version.text),
            connection: try settings.connectionOptions(name: ProcessEnvironment.connectionName()),
            settings: RPCWorkerSettings(settings),
            logger: logger
        )
        try await hosts.start()
        let admin = try observability.adminServer(settings, worker: worker, hosts: hosts)
        let reloader = Reloader(
            settings,
            sources: sources,
            observability: observability,
            hosts: hosts,
            worker: worker,
            logger: logger
        )
        // Shut down in reverse order: first the requests, last the consoles.
        var services: [ServiceGroupConfiguration.ServiceConfiguration] = [.init(service: hosts)]
        services += [admin].compactMap { $0 }.map { .init(service: $0) }
        services += [.init(service: reloader), .init(service: worker)]
        services.append(.init(service: Announcer(worker: worker, hosts: hosts, logger: logger)))
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
        logger.info("stopped")
        await observability.flush()
    }
}
