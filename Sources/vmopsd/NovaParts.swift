import Journal
import Logging
import NovaCompute
import OsloMessaging
import VMOps

import struct Configuration.Settings

/// What makes hosts compute services of Nova's.
struct NovaParts: Sendable {
    private let caller: NovaCalls
    private let settings: NovaSettings
    private let hasConductor: Bool
    private let cloud: CloudParts

    /// `nil` unless the settings ask for it.
    init?(_ settings: Settings, _ calls: HostCalls, _ cloud: CloudParts) {
        guard settings.nova.computeAPI else { return nil }
        self.cloud = cloud
        caller = NovaCalls(calls, settings)
        self.settings = NovaSettings(settings)
        hasConductor = settings.nova.conductor == .rpc
    }

    func conductor(_ logger: Logger) -> Conductor? {
        hasConductor ? Conductor(caller: caller, settings: settings, logger: logger) : nil
    }

    /// One for each host: it holds what is known of the host.
    ///
    /// - Parameter directory: the host's.
    func services(_ directory: String) -> CloudServices {
        CloudServices(
            placement: cloud.placement,
            images: cloud.images,
            network: cloud.network,
            leftPorts: LeftPorts(path: directory + "/left_ports")
        )
    }

    func endpoint(
        _ operations: VMOps,
        _ services: CloudServices,
        allowedMethods: @escaping @Sendable () -> Set<String>,
        injectsPasswords: @escaping @Sendable () -> Bool,
        notifier: InstanceNotifier?,
        logger: Logger
    ) -> NovaEndpoint {
        NovaEndpoint(
            operations: operations,
            conductor: conductor(logger),
            caller: caller,
            cloud: services,
            settings: settings,
            allowedMethods: allowedMethods,
            injectsPasswords: injectsPasswords,
            notifier: notifier,
            logger: logger
        )
    }

    /// What registers the host and reports of it, if there is a conductor to report to.
    func service(
        _ endpoint: NovaEndpoint,
        directory: String,
        journal: Journal,
        changes: HostChanges,
        logger: Logger
    ) -> ComputeService? {
        guard let conductor = conductor(logger) else { return nil }
        return ComputeService(
            endpoint: endpoint,
            conductor: conductor,
            identity: NodeIdentity(path: directory + "/compute_id"),
            changes: changes,
            openRequests: { try await journal.requestedInstances() },
            logger: logger
        )
    }
}

extension Journal {
    /// The instances that accepted and unfinished requests are about.
    fileprivate func requestedInstances() async throws -> Set<String> {
        let decoder = RequestDecoder()
        var instances: Set<String> = []
        var last: EntryID?
        while case let page = try await unfinished(after: last), let newest = page.last {
            last = newest.entry
            for unfinished in page {
                guard
                    case .request(let request) = decoder.decode(
                        body: unfinished.request.body,
                        properties: OsloProperties.plain
                    ), let uuid = ComputeService.instance(of: request)
                else { continue }
                instances.insert(uuid)
            }
        }
        return instances
    }
}
