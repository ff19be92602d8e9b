import ComputeRPC
import Console
import DiskTransfer
import HostBackend
import ImageStore
import Journal
import Logging
import NovaCompute
import OsloMessaging
import PluginHost
import QEMUHost
import RPCClient
import RPCWorker
import SimulatedHost
import Support
import Synchronization
import VMOps

import enum Configuration.BackendKind
import struct Configuration.HostSettings
import struct Configuration.Settings

/// What the hosts of a process have in common.
struct SharedParts: Sendable {
    let world: SimulatedWorld
    let consoles: ConsoleEngine
    let committers: CommitterPool
    let images: ImageStores
    /// Reaches hosts of other processes.
    let calls: HostCalls
    let peers: HostPeers
    /// Sends notifications, if any driver is configured.
    let notifier: Notifier?
    /// Where Nova's versioned ones go; `nil`: none are sent.
    private let versionedTopics: [String]?
    private let sendsOwnNotifications: Bool
    /// What hosts are to a control plane of Nova's, if they are anything to one.
    let nova: NovaParts?

    init(_ settings: Settings, logger: Logger) throws {
        world = try SimulatedWorld()
        consoles = try ConsoleEngine()
        committers = .shared
        let cloud = try CloudParts(settings.cloud, logger: logger)
        images = ImageStores(settings, service: cloud.images.map(CloudImages.init), logger: logger)
        calls = try HostCalls(settings, logger: logger)
        peers = HostPeers(calls)
        nova = NovaParts(settings, calls, cloud)
        let format = settings.nova.notificationFormat
        versionedTopics = format == .unversioned ? nil : settings.nova.notificationTopics
        sendsOwnNotifications = format != .versioned
        notifier = try NotifierSettings(settings).map { notifications in
            Notifier(
                connection: try settings.notificationConnectionOptions(name: ProcessEnvironment.connectionName()),
                settings: notifications,
                logger: logger
            )
        }
    }

    /// Tells of the operations of a host.
    func observer(_ host: String) -> any OperationObserver {
        guard let notifier, sendsOwnNotifications else { return SilentObserver() }
        return ComputeNotifier(host: host) { priority, eventType, payload, context in
            notifier.notify(
                priority,
                eventType,
                payload: payload,
                context: context,
                publisherID: "compute.\(host)"
            )
        }
    }

    /// Tells of the operations of a host as Nova does it.
    func instanceNotifier(_ host: String) -> InstanceNotifier? {
        guard let notifier, let versionedTopics else { return nil }
        return InstanceNotifier { priority, eventType, payload, context in
            notifier.notify(
                priority,
                eventType,
                payload: payload,
                context: context,
                publisherID: "nova-compute:\(host)",
                topics: versionedTopics
            )
        }
    }
}

/// One host: its backend, journal, consoles and operations.
struct HostStack: Sendable {
    let name: String
    let kind: BackendKind
    let journal: Journal
    let operations: VMOps
    private let lock: HostDirectoryLock
    private let logger: Logger
    private let allowedMethods: Box<Set<String>>
    private let injectsPasswords: Box<Bool>
    private let nova: NovaParts?
    private let cloud: CloudServices
    private let instanceNotifier: InstanceNotifier?
    private let changes = HostChanges()
    private let directory: String

    init(_ host: HostSettings, _ settings: Settings, _ shared: SharedParts, logger: Logger) throws {
        var logger = logger
        logger[metadataKey: "host"] = "\(host.name)"
        self.logger = logger
        name = host.name
        kind = host.backend
        directory = host.directory
        try makeDirectories(host.directory)
        lock = try HostDirectoryLock(host.directory)
        let backend = try Self.backend(host, settings, shared, logger)
        journal = try Journal(
            path: host.directory + "/journal.sqlite",
            settings: JournalSettings(settings),
            logger: logger,
            pool: shared.committers
        )
        let console = ConsoleService(
            host: host.name,
            settings: ConsoleSettings(host),
            engine: shared.consoles,
            logger: logger
        )
        operations = VMOps(
            host: host.name,
            backend: backend,
            console: console,
            journal: journal,
            instancesPath: host.directory + "/instances",
            settings: OperationSettings(host, settings),
            peers: shared.peers,
            carrier: DiskTransfer(
                address: host.migration.address,
                ports: host.migration.ports,
                tls: host.migration.tls.map(MigrationCertificates.init),
                bandwidth: host.migration.bandwidth,
                limit: host.migration.progressTimeout
            ),
            observer: ObserverGroup([shared.observer(host.name)] + (shared.nova == nil ? [] : [changes])),
            logger: logger
        )
        allowedMethods = Box(Set(settings.limits.allowedMethods))
        injectsPasswords = Box(host.hyperv.configDriveInjectPassword)
        nova = shared.nova
        instanceNotifier = shared.instanceNotifier(host.name)
        cloud = shared.nova?.services(host.directory) ?? CloudServices()
    }

    private static func backend(
        _ host: HostSettings,
        _ settings: Settings,
        _ shared: SharedParts,
        _ logger: Logger
    ) throws -> any HostBackend {
        switch host.backend {
        case .simulated:
            return SimulatedHost(
                name: host.name,
                settings: try SimulatedSettings(host, settings),
                stateDirectory: host.directory + "/simulated",
                // By the lock of the host's own directory, one descriptor for each host.
                isOwned: true,
                world: shared.world,
                images: try shared.images.store(host, settings),
                logger: logger
            )
        case .qemu:
            return QEMUHost(
                name: host.name,
                settings: QEMUSettings(host, settings),
                stateDirectory: host.directory + "/qemu",
                images: try shared.images.store(host, settings),
                logger: logger
            )
        case .plugin:
            return try PluginHost(
                name: host.name,
                settings: try PluginSettings(host),
                directory: host.directory,
                workerVersion: Version.text,
                digest: { try await FileDigest.sha256(of: $0) },
                logger: logger
            )
        }
    }

    /// How the host's plugin is; `nil` for a host without one.
    var plugin: PluginStatus? { (operations.backend as? PluginHost)?.status }

    func served(version: String) -> ServedHost {
        let injects = injectsPasswords
        let allowed = allowedMethods
        let endpoint = DriverEndpoint(
            operations: operations,
            identity: DriverEndpoint.Identity(host: name, backend: kind.rawValue, version: version),
            allowedMethods: { allowed.value },
            injectsPasswords: { injects.value }
        )
        let novaEndpoint = novaEndpoint
        var endpoints: [any RPCEndpoint] = [endpoint]
        if let novaEndpoint { endpoints += [novaEndpoint, BaseAPIEndpoint()] as [any RPCEndpoint] }
        return ServedHost(
            name: name,
            endpoints: endpoints,
            journal: journal,
            recovery: HostRecovery(
                driver: OperationRecovery(operations: operations),
                nova: novaEndpoint.map { NovaRecovery($0) }
            )
        )
    }

    private var novaEndpoint: NovaEndpoint? {
        let injects = injectsPasswords
        let allowed = allowedMethods
        return nova?.endpoint(
            operations,
            cloud,
            allowedMethods: { allowed.value },
            injectsPasswords: { injects.value },
            notifier: instanceNotifier,
            logger: logger
        )
    }

    /// What makes the host known to a control plane, if it has one.
    func computeService() -> ComputeService? {
        guard let nova, let endpoint = novaEndpoint else { return nil }
        return nova.service(endpoint, directory: directory, journal: journal, changes: changes, logger: logger)
    }

    /// Puts options that may change at run time in force.
    func apply(_ host: HostSettings, _ settings: Settings) {
        operations.settings = OperationSettings(host, settings)
        operations.console.settings = ConsoleSettings(host)
        if let plugin = operations.backend as? PluginHost {
            do {
                plugin.settings = try PluginSettings(host)
            } catch {
                logger.error("options of the plugin not changed", metadata: ["error": "\(error)"])
            }
        }
        injectsPasswords.value = host.hyperv.configDriveInjectPassword
        allowedMethods.value = Set(settings.limits.allowedMethods)
    }
}

/// A value that is replaced while others read it.
final class Box<Value: Sendable>: Sendable {
    private let state: Mutex<Value>

    init(_ value: Value) { state = Mutex(value) }

    var value: Value {
        get { state.withLock { $0 } }
        set { state.withLock { $0 = newValue } }
    }
}
