package import Console
package import HostBackend
package import Journal
package import Logging
import Support
import Synchronization

/// The VM operations of one host.
///
/// Every operation that changes an instance runs in that instance's lane, first come first served, whatever
/// other instances do; reads never wait for it. The journal's record of an instance is written before anything is
/// made that would have to be cleaned up, and removed after the last of it is gone, so that a worker killed at any
/// point finds out at its next start what to finish or undo.
package final class VMOps: Sendable {
    package let host: String
    package let backend: any HostBackend
    package let console: ConsoleService
    let journal: Journal
    let instancesPath: String
    let peers: any MigrationPeers
    let carrier: any DiskCarrier
    let observer: any OperationObserver
    let logger: Logger

    private let settingsBox: Mutex<OperationSettings>
    private let registry = Mutex<[InstanceUUID: Instance]>([:])
    /// Instances that have left this host, with something still to be done about them here.
    let leftovers = Mutex<[InstanceUUID: Instance]>([:])
    /// Whether the instances are known; before that no other host gets an answer.
    let isInService = Atomic<Bool>(false)
    /// Live migrations away from here that run now.
    let outgoing = Atomic<Int>(0)
    let eventStream = Mutex<AsyncStream<MachineEvent>?>(nil)
    private let homecoming = Mutex<(@Sendable (InstanceUUID) async -> Void)?>(nil)

    /// - Parameters:
    ///   - instancesPath: holds one directory per instance.
    ///   - peers: finds the other hosts of migrations.
    ///   - carrier: takes disks of cold migrations to and from other hosts.
    package init(
        host: String,
        backend: any HostBackend,
        console: ConsoleService,
        journal: Journal,
        instancesPath: String,
        settings: OperationSettings,
        peers: any MigrationPeers,
        carrier: any DiskCarrier = NoDiskCarrier(),
        observer: any OperationObserver,
        logger: Logger
    ) {
        self.host = host
        self.backend = backend
        self.console = console
        self.journal = journal
        self.instancesPath = instancesPath
        self.settingsBox = Mutex(settings)
        self.peers = peers
        self.carrier = carrier
        self.observer = observer
        self.logger = logger
    }

    /// Options may be replaced at any time; operations read them when they need them.
    package var settings: OperationSettings {
        get { settingsBox.withLock { $0 } }
        set { settingsBox.withLock { $0 = newValue } }
    }

    /// What is done for an instance that comes back here after a move, also one that a crash interrupts, before it is
    /// started. It may be done more than once. `nil`: nothing. To be set before the host is in service.
    package var beforeReturn: (@Sendable (InstanceUUID) async -> Void)? {
        get { homecoming.withLock { $0 } }
        set { homecoming.withLock { $0 = newValue } }
    }

    func directory(_ uuid: InstanceUUID) -> InstanceDirectory {
        InstanceDirectory(instances: instancesPath, uuid: uuid)
    }

    // MARK: Registry

    func instance(_ uuid: InstanceUUID) -> Instance? {
        registry.withLock { $0[uuid] }
    }

    func existing(_ uuid: InstanceUUID) throws -> Instance {
        guard let instance = instance(uuid), !instance.isGone else { throw OperationError.notFound(uuid.text) }
        return instance
    }

    var allInstances: [Instance] {
        registry.withLock { Array($0.values) }
    }

    /// Adds the instance unless there is one with its uuid.
    ///
    /// - Returns: the one that was there.
    func register(_ instance: Instance) -> Instance? {
        registry.withLock { registry in
            if let present = registry[instance.uuid] { return present }
            registry[instance.uuid] = instance
            return nil
        }
    }

    func unregister(_ instance: Instance) {
        instance.markGone()
        registry.withLock { registry in
            if registry[instance.uuid] === instance { registry[instance.uuid] = nil }
        }
    }
}
