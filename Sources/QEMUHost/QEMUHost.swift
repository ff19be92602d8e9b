import DiskImages
package import HostBackend
package import ImageStore
package import Logging
import Processes
import Support
import Synchronization

/// A hypervisor host whose machines are QEMU processes of our own, one each, driven by QMP.
///
/// The processes outlive the worker: each machine has a directory below the state directory, with its record, its
/// monitor's socket and its console's FIFOs, from which the next worker takes it up. Disks and config drives are files
/// made by ``DiskImages``.
///
/// One mutex holds the inventory, each machine has its own; both are held for moments only. Blocking calls are made on
/// the threads of a ``FileWork``; one reactor thread serves the monitors and waits for the processes.
package final class QEMUHost: HostBackend {
    struct State: ~Copyable {
        var services: MachineServices?
        var machines: [InstanceUUID: QEMUMachine] = [:]
        var lastIncarnation: UInt64 = 0
        var facts: HostFacts?
        var lock: StateLock?
        /// Being taken into service.
        var isConnecting = false
        var isConnected = false
    }

    private static let adoptionsAtOnce = 16

    package let name: String
    package let settings: QEMUSettings
    package let capabilities: HostCapabilities
    let stateDirectory: String
    let disks: DiskImages
    let images: ImageStore
    let tools: Tools
    let work: FileWork
    let logger: Logger
    let eventHub = EventHub(keepsEarlyEvents: true)
    let inventory = Mutex(State())

    /// - Parameters:
    ///   - name: the host's name.
    ///   - stateDirectory: an absolute path, short enough for the sockets below it; made when the host connects.
    ///   - images: where its images come from; `nil` = the directory that the settings name, and nowhere else.
    package init(
        name: String,
        settings: QEMUSettings = QEMUSettings(),
        stateDirectory: String,
        images: ImageStore? = nil,
        logger: Logger
    ) {
        self.name = name
        self.settings = settings
        self.stateDirectory = stateDirectory
        self.logger = logger
        work = FileWork()
        tools = Tools(searchPath: settings.toolSearchPath, logger: logger)
        disks = DiskImages(
            settings: DiskImages.Settings(
                qemuImgCommand: settings.qemuImgCommand,
                searchPath: settings.toolSearchPath
            ),
            work: work,
            logger: logger
        )
        self.images =
            images
            ?? ImageStore(
                settings: ImageStoreSettings(directory: settings.imagesPath ?? stateDirectory + "/images"),
                disks: disks,
                logger: logger
            )
        capabilities = Self.capabilities(settings, disks)
    }

    private static func capabilities(_ settings: QEMUSettings, _ disks: DiskImages) -> HostCapabilities {
        var flags: Set<Capability> = [
            .softShutdown, .reset, .pause, .save, .resizeDisks, .events, .consoleOutput, .consoleInput,
            .consoleResumable, .hotplugDisk, .hotplugNIC, .diagnostics, .liveMigration, .liveStorageMigration,
            .abortLiveMigration, .migratePaused, .coldMigration,
        ]
        if disks.hasQemuImg { flags.formUnion([.copyOnWriteDisks, .resizeDifferencing, .checkpoint]) }
        if disks.hasXorriso { flags.insert(.configDriveISO) }
        if settings.network == .tap { flags.insert(.networkPlugged) }
        return HostCapabilities(
            flags: flags,
            diskFormats: disks.diskFormats,
            volumeTypes: QEMUHost.volumeTypes,
            networkTypes: HostNetwork.types(settings.network)
        )
    }

    // MARK: Service

    package func connect() async throws {
        try inventory.withLock { state throws(BackendError) in
            if state.isConnected || state.isConnecting {
                throw BackendError(.conflict, "host \(name) is connected already")
            }
            state.isConnecting = true
        }
        do {
            let services = try await prepare()
            inventory.withLock { $0.services = services }
            try await adopt(services)
            inventory.withLock { state in
                state.isConnecting = false
                state.isConnected = true
            }
        } catch {
            await letGo()
            throw Self.backendError(error, "connecting to host \(name)")
        }
    }

    package func disconnect() async {
        eventHub.end()
        await letGo()
    }

    /// Ends service as `kill -9` would: nothing more is written or sent, and machines keep running. For tests of
    /// restarts.
    package func simulateCrash() async {
        inventory.withLock { $0.isConnected = false }
        eventHub.end()
        await letGo()
    }

    private func letGo() async {
        let machines = inventory.withLock { state in
            state.isConnected = false
            return Array(state.machines.values)
        }
        for machine in machines { machine.freeze() }
        for machine in machines { await machine.stopWatching() }
        inventory.withLock { state in
            state.machines.removeAll()
            state.services = nil
            state.isConnecting = false
            state.lock = nil
        }
    }

    /// Whether new machines can be started: QEMU is there.
    package func probe() async throws {
        let services = try services()
        guard tools.find(Tools.Tool(command: services.command.binary, package: "qemu-system-x86")) != nil else {
            throw BackendError(.unavailable, "\(services.command.binary) is gone from host \(name)")
        }
    }

    package func events() -> AsyncStream<MachineEvent> { eventHub.subscribe() }

    // MARK: Preparation

    private func prepare() async throws -> MachineServices {
        try MachineFiles.check(stateDirectory: stateDirectory)
        try await disks.prepare(stateDirectory)
        let lockPath = stateDirectory + "/lock"
        try inventory.withLock { state throws(BackendError) in state.lock = try StateLock(lockPath) }
        let demotion = try await demotion()
        let facts = try await tested(try await HostFacts.find(settings, tools, work, logger), demotion)
        inventory.withLock { $0.facts = facts }
        let accelerator = facts.accelerator
        let reactor = try Reactor(name: "qemu-host")
        return MachineServices(
            settings: settings,
            command: QEMUCommand(
                binary: facts.binary,
                sandbox: settings.sandbox,
                diskBus: settings.diskBus,
                network: settings.network,
                demotion: demotion
            ),
            platform: Platform(
                machineType: settings.machineType.isEmpty ? facts.newestMachineType : settings.machineType,
                cpuModel: settings.cpuModel.isEmpty ? (accelerator == "kvm" ? "host" : "qemu64") : settings.cpuModel,
                accelerator: accelerator
            ),
            bootID: facts.bootID,
            stateDirectory: stateDirectory,
            processes: Processes(reactor: reactor, logger: logger),
            network: HostNetwork(mode: settings.network, owner: demotion?.user, tools: tools, work: work),
            reactor: reactor,
            events: eventHub,
            work: work,
            logger: logger
        )
    }

    /// How QEMU becomes somebody else; `nil` when it runs as we do.
    private func demotion() async throws -> QEMUCommand.Demotion? {
        let name = settings.user
        guard !name.isEmpty else { return nil }
        guard let setpriv = tools.find(Tools.Tool(command: "setpriv", package: "util-linux")) else {
            throw BackendError(.unavailable, "setpriv, of the package util-linux, is needed to run QEMU as \(name)")
        }
        let directory = stateDirectory
        return try await work.run { _ in
            let user = try MachineAccess.user(name)
            if user.uid == MachineAccess.ownUser { return nil }
            guard MachineAccess.ownUser == 0 else {
                throw BackendError(.unauthorized, "only root can run QEMU as user \(name)")
            }
            // The host's own directories; those above are the operator's.
            try MachineAccess.openWay(directory)
            if let slash = directory.lastIndex(of: "/"), slash != directory.startIndex {
                let parent = String(directory[..<slash])
                try MachineAccess.openWay(parent)
                try MachineAccess.openWay(ifThere: parent + "/instances")
            }
            try MachineAccess.checkWay(to: directory, for: user)
            return QEMUCommand.Demotion(setpriv: setpriv, user: user)
        }
    }

    // MARK: Adoption

    /// Takes up the machines of an earlier worker, several at a time; what was never complete is removed.
    private func adopt(_ services: MachineServices) async throws {
        let records = try await work.run { [self] _ in try readRecords(services) }
        await withTaskGroup(of: Void.self) { group in
            for (number, record) in records.enumerated() {
                let machine = QEMUMachine(record, services)
                inventory.withLock { state in
                    state.machines[machine.uuid] = machine
                    state.lastIncarnation = max(state.lastIncarnation, record.incarnation)
                }
                if number >= Self.adoptionsAtOnce { await group.next() }
                group.addTask { await machine.adopt() }
            }
        }
    }

    private func readRecords(_ services: MachineServices) throws -> [MachineRecord] {
        var records: [MachineRecord] = []
        for name in try FileCalls.names(in: stateDirectory) {
            guard let uuid = InstanceUUID(name), uuid.text == name else { continue }
            let files = services.files(uuid)
            do {
                guard let json = try files.readRecord() else {
                    try files.removeAll(sync: settings.syncState)
                    continue
                }
                let record = try MachineRecord(json: json)
                guard record.spec.uuid == uuid else { throw BackendError(.internal, "the uuid is another one") }
                records.append(record)
            } catch {
                // Left as it is for whoever wants to look at it; the other machines are not concerned.
                logger.error(
                    "a machine's record cannot be used",
                    metadata: ["instance": "\(uuid)", "path": "\(files.record)", "error": "\(error)"]
                )
            }
        }
        return records
    }

    // MARK: Inventory

    func services() throws(BackendError) -> MachineServices {
        let services = inventory.withLock { $0.isConnected ? $0.services : nil }
        guard let services else { throw BackendError(.unavailable, "host \(name) is not in service") }
        return services
    }

    /// A machine of this host's: none that is still another's, or already.
    func find(_ uuid: InstanceUUID) throws(BackendError) -> QEMUMachine {
        guard let machine = try findAny(uuid), machine.presence == .here else {
            throw BackendError(.notFound, "there is no machine \(uuid) on host \(name)")
        }
        return machine
    }

    /// The same whosever it is at the moment.
    func findAny(_ uuid: InstanceUUID) throws(BackendError) -> QEMUMachine? {
        _ = try services()
        return inventory.withLock { $0.machines[uuid] }
    }

    /// Runs a primitive's work on a machine, one at a time, its errors those of backends.
    func perform<Result>(
        _ what: String,
        _ uuid: InstanceUUID,
        _ body: (QEMUMachine) async throws -> Result
    ) async throws -> Result {
        do {
            let machine = try find(uuid)
            return try await machine.lane.run { try await body(machine) }
        } catch {
            throw Self.backendError(error, "\(what) of machine \(uuid)")
        }
    }

    static func backendError(_ error: any Error, _ what: String) -> BackendError {
        if let error = error as? BackendError { return error }
        if error is CancellationError { return BackendError(.cancelled, "\(what) was cancelled") }
        return BackendError(.internal, "\(what) failed", cause: error)
    }
}
