import DiskImages
import DiskTransfer
package import HostBackend
package import ImageStore
package import Logging
import Support
import Synchronization

/// A hypervisor host whose machines are simulated, and whose files, consoles, events, failures and restarts are real.
///
/// Machines live in the memory of the process and in one small file each below the state directory, from which a later
/// worker takes them up: a running guest has gone on running meanwhile. Guests print on pipes, boot, take commands,
/// shut down when asked, or misbehave as their settings and metadata say (``GuestBehaviour``, ``FaultRule``). Disks and
/// config drives are files made by ``DiskImages``. Hosts of one ``SimulatedWorld`` exchange guests by live migration.
///
/// One mutex holds the inventory, each machine has its own; both are held for moments only. Files are written on the
/// threads of a ``FileWork``.
package final class SimulatedHost: HostBackend {
    struct State: ~Copyable {
        var isConnected = false
        var machines: [InstanceUUID: SimulatedMachine] = [:]
        /// Faults and delays that machines bring along.
        var plans: [InstanceUUID: FaultPlan] = [:]
        var lastIncarnation: UInt64 = 0
        /// Migrations that ``cancelJobs(_:)`` stops.
        var departures: [InstanceUUID: FileWork.Cancellation] = [:]
        var lock: StateLock?
    }

    package let name: String
    package let settings: SimulatedSettings
    package let world: SimulatedWorld
    package let capabilities: HostCapabilities
    let disks: DiskImages
    let images: ImageStore
    let injector: FaultInjector
    let stateDirectory: String
    private let isOwned: Bool
    let eventHub = EventHub()
    let store: MachineStore
    let logger: Logger
    let inventory = Mutex(State())
    /// Where guests from other processes arrive, once one was expected.
    let gate = Mutex<ArrivalGate?>(nil)

    /// - Parameters:
    ///   - name: the host's name, unique in its world.
    ///   - stateDirectory: an absolute path; created when the host connects.
    ///   - isOwned: the caller keeps the state directory to this host with a lock of its own.
    ///   - images: where its images come from; `nil` = the directory that the settings name, and nowhere else.
    package init(
        name: String,
        settings: SimulatedSettings = SimulatedSettings(),
        stateDirectory: String,
        isOwned: Bool = false,
        world: SimulatedWorld,
        images: ImageStore? = nil,
        logger: Logger
    ) {
        self.name = name
        self.settings = settings
        self.stateDirectory = stateDirectory
        self.isOwned = isOwned
        self.world = world
        self.logger = logger
        let work = FileWork()
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
        store = MachineStore(
            directory: stateDirectory + "/machines",
            work: work,
            sync: settings.syncState,
            logger: logger
        )
        injector = FaultInjector(plan: settings.plan)
        capabilities = Self.capabilities(settings, disks)
    }

    private static func capabilities(_ settings: SimulatedSettings, _ disks: DiskImages) -> HostCapabilities {
        var flags: Set<Capability> = [
            .softShutdown, .reset, .pause, .save, .hotplugNIC, .hotplugDisk, .diagnostics, .resizeDisks,
            .checkpoint, .coldMigration, .liveMigration, .liveStorageMigration, .abortLiveMigration, .migratePaused,
            .events,
            .consoleOutput,
            .consoleInput, .consoleResumable,
        ]
        if disks.hasQemuImg { flags.formUnion([.copyOnWriteDisks, .resizeDifferencing]) }
        if disks.hasXorriso { flags.insert(.configDriveISO) }
        if settings.plugsInterfaces { flags.insert(.networkPlugged) }
        return HostCapabilities(
            flags: flags.filter { !settings.withoutCapabilities.contains($0.rawValue) },
            diskFormats: disks.diskFormats,
            volumeTypes: ["file"],
            networkTypes: ["bridge", "ovs", "tap", "hyperv", "binding_failed", "unbound", "other"]
        )
    }

    // MARK: Service

    package func connect() async throws {
        try await disks.prepare(stateDirectory)
        let lockPath = stateDirectory + "/lock"
        try inventory.withLock { state throws(BackendError) in
            if state.isConnected { throw BackendError(.conflict, "host \(name) is connected already") }
            if state.lock == nil, !isOwned { state.lock = try StateLock(lockPath) }
        }
        do {
            try world.join(self)
            try await adopt()
            inventory.withLock { $0.isConnected = true }
            try await perform(.connect) { try await settleMigrations() }
        } catch {
            letGo()
            throw error
        }
    }

    package func disconnect() async {
        let machines = inventory.withLock { state in
            state.isConnected = false
            return Array(state.machines.values)
        }
        eventHub.end()
        for machine in machines {
            machine.freeze(takingBack: true)
            do { try await machine.save(withConsole: true) } catch { store.report(error, machine.uuid) }
        }
        letGo()
    }

    /// Ends service as `kill -9` would: nothing more is written, consoles end. For tests of restarts.
    package func simulateCrash() {
        inventory.withLock { $0.isConnected = false }
        eventHub.end()
        letGo()
    }

    private func letGo() {
        gate.withLock { gate in
            gate?.stop()
            gate = nil
        }
        let machines = inventory.withLock { state in
            defer {
                state.machines.removeAll()
                state.plans.removeAll()
                state.isConnected = false
                state.lock = nil
            }
            return Array(state.machines.values)
        }
        for machine in machines {
            machine.freeze()
            world.reactor.remove(machine.token)
        }
        world.leave(self)
    }

    package func probe() async throws { try await perform(.probe) {} }

    package func events() -> AsyncStream<MachineEvent> { eventHub.subscribe() }

    // MARK: Adoption

    /// Takes up the machines of an earlier worker; those whose definition was never complete are gone.
    private func adopt() async throws {
        for (uuid, record) in try await store.load() {
            do {
                let state = try SimulatedMachine.State(record: record, settings: settings, clock: world.clock)
                guard state.spec.uuid == uuid else { throw BackendError(.internal, "the uuid is another one") }
                let incarnation = record.count("incarnation")
                let plan = try FaultPlan(metadata: state.spec.metadata)
                let machine = makeMachine(state, incarnation)
                inventory.withLock { inventory in
                    inventory.machines[uuid] = machine
                    inventory.plans[uuid] = plan
                    inventory.lastIncarnation = max(inventory.lastIncarnation, incarnation)
                }
                reconnect(machine)
                start(machine)
            } catch {
                store.setAside(uuid, error)
            }
        }
    }

    func makeMachine(_ state: SimulatedMachine.State, _ incarnation: UInt64) -> SimulatedMachine {
        SimulatedMachine(
            state,
            incarnation: incarnation,
            reactor: world.reactor,
            events: eventHub,
            store: store
        )
    }

    /// Lets a machine's time run.
    func start(_ machine: SimulatedMachine) {
        world.reactor.add(machine)
        machine.timeHasCome()
    }

    /// What an adopted machine has connected to the world outlived the earlier worker too.
    private func reconnect(_ machine: SimulatedMachine) {
        let (spec, phase) = machine.read { state, _ in (state.spec, state.phase) }
        guard phase == .realized || phase == .arrived else { return }
        for interface in spec.interfaces {
            world.plug(.init(host: name, uuid: spec.uuid, interfaceID: interface.id))
        }
        for disk in spec.disks where disk.role == .volume {
            if let id = disk.identifier { world.connect(.init(host: name, volumeID: id, path: disk.path)) }
        }
    }

    /// The definitions' counter: it only has to grow, also over restarts, so it follows the clock.
    func newIncarnation() -> UInt64 {
        inventory.withLock { state in
            state.lastIncarnation = max(state.lastIncarnation + 1, world.clock.wall / 1000)
            return state.lastIncarnation
        }
    }

    // MARK: Inventory

    func find(_ uuid: InstanceUUID) throws(BackendError) -> SimulatedMachine {
        guard let machine = inventory.withLock({ $0.machines[uuid] }),
            machine.read({ state, _ in state.isInService })
        else { throw BackendError(.notFound, "there is no machine \(uuid) on host \(name)") }
        return machine
    }

    func machine(inAnyPhase uuid: InstanceUUID) -> SimulatedMachine? { inventory.withLock { $0.machines[uuid] } }

    /// Forgets a machine whose file is gone.
    func forget(_ machine: SimulatedMachine) {
        machine.freeze()
        world.reactor.remove(machine.token)
        inventory.withLock { state in
            guard state.machines[machine.uuid] === machine else { return }
            state.machines[machine.uuid] = nil
            state.plans[machine.uuid] = nil
        }
        injector.forget(machine.uuid)
    }
}
