import Console
import DiskTransfer
import Foundation
import HostBackend
import Journal
import Logging
import SimulatedHost
import Support
import Synchronization
import TestSupport
import Testing

@testable import VMOps

/// One host of a ``TestWorld``.
final class TestHost: Sendable {
    struct Options: Sendable {
        var simulated: SimulatedSettings
        var operations: OperationSettings
        var console = ConsoleSettings()
        /// `nil` = of its own.
        var instancesPath: String?

        init(imagesPath: String) {
            simulated = SimulatedSettings()
            simulated.syncState = false
            simulated.imagesPath = imagesPath
            simulated.migrationMilliseconds = 20
            simulated.guest.bootLines = 3
            simulated.guest.shutdownMilliseconds = 5
            operations = OperationSettings(imagesPath: imagesPath)
            operations.powerOffPollInterval = .milliseconds(5)
            operations.softRebootTimeout = .milliseconds(300)
            operations.softRebootInterval = .milliseconds(100)
            operations.stateChangeTimeout = .seconds(20)
            operations.inventoryInterval = .seconds(3600)
            operations.migrationRetryInterval = .seconds(3600)
            operations.removeDirectoryTimeout = .seconds(1)
            console.drainQuiet = .milliseconds(5)
            console.flushInterval = .milliseconds(5)
            console.reconnectInitial = .milliseconds(5)
            console.reconnectMax = .milliseconds(50)
        }
    }

    let name: String
    let world: TestWorld
    let backend: SimulatedHost
    let journal: Journal
    let console: ConsoleService
    let operations: VMOps
    let observer = RecordingObserver()
    let instancesPath: String
    private let running = Mutex<Task<Void, Never>?>(nil)

    init(_ name: String, _ options: Options, _ world: TestWorld) throws {
        self.name = name
        self.world = world
        let directory = world.directory + "/" + name
        try makeDirectories(directory)
        instancesPath = options.instancesPath ?? directory + "/instances"
        backend = SimulatedHost(
            name: name,
            settings: options.simulated,
            stateDirectory: directory + "/simulated",
            world: world.simulated,
            logger: world.logger
        )
        journal = try Journal(path: directory + "/journal.sqlite", logger: world.logger, pool: world.committers)
        console = ConsoleService(
            host: name,
            settings: options.console,
            engine: world.consoles,
            logger: world.logger
        )
        operations = VMOps(
            host: name,
            backend: backend,
            console: console,
            journal: journal,
            instancesPath: instancesPath,
            settings: options.operations,
            peers: world.peers,
            carrier: DiskTransfer(address: "127.0.0.1"),
            observer: observer,
            logger: world.logger
        )
    }

    func start() async throws {
        try await operations.start()
        // Ended and awaited by `stop` or `kill`, one of which the world calls.
        let task = Task { [operations] in await operations.run() }
        running.withLock { $0 = task }
    }

    func stop() async {
        await operations.stop()
        await running.withLock { $0 }?.value
        await journal.close()
    }

    /// Ends service without any of the steps of an orderly end, as far as that is possible within one process.
    func kill() async {
        world.peers.remove(name)
        backend.simulateCrash()
        let task = running.withLock { task in
            defer { task = nil }
            return task
        }
        task?.cancel()
        await task?.value
        await journal.close()
    }

    // MARK: Requests

    func request(
        _ uuid: InstanceUUID = newUUID(),
        _ metadata: [String: String] = [:],
        powerOn: Bool = true,
        volumes: [VolumeConnection] = [],
        interfaces: Int = 0,
        image: String? = nil,
        configDrive: Bool = false
    ) -> SpawnRequest {
        SpawnRequest(
            uuid: uuid,
            name: "instance-\(uuid.text.prefix(8))",
            memoryMB: 64,
            vcpus: 1,
            rootGB: 0,
            ephemeralGB: [],
            imageRef: image,
            metadata: metadata,
            interfaces: (0..<interfaces).map {
                NetworkInterface(id: "vif-\($0)-\(uuid.text.prefix(8))", macAddress: "fa:16:3e:00:00:0\($0)")
            },
            volumes: volumes,
            powerOn: powerOn,
            configDrive: configDrive,
            configDriveFiles: Redacted(
                configDrive ? [ConfigDriveFile(path: "openstack/latest/meta_data.json", content: [0x7B, 0x7D])] : []
            )
        )
    }

    /// A running instance, unless told otherwise.
    @discardableResult
    func spawn(
        _ metadata: [String: String] = [:],
        uuid: InstanceUUID = newUUID(),
        powerOn: Bool = true,
        interfaces: Int = 0,
        image: String? = nil
    ) async throws -> InstanceUUID {
        let request = request(uuid, metadata, powerOn: powerOn, interfaces: interfaces, image: image)
        _ = try await operations.spawn(request, context)
        return uuid
    }

    var context: OperationContext { OperationContext() }

    func destroy(_ uuid: InstanceUUID, disks: Bool = true, volumes: [VolumeConnection] = []) async throws {
        try await operations.destroy(uuid, interfaces: [], volumes: volumes, destroyDisks: disks, context)
    }

    func powerOff(_ uuid: InstanceUUID, seconds: Double = 0, interval: Double = 0) async throws -> InstanceInfo {
        try await operations.powerOff(uuid, timeout: .seconds(seconds), interval: .seconds(interval), context)
    }

    func migrate(_ uuid: InstanceUUID, to host: TestHost, copy: Bool? = nil) async throws -> InstanceInfo {
        try await operations.liveMigrate(uuid, to: host.name, copyStorage: copy, context)
    }

    func resize(_ uuid: InstanceUUID, _ request: ResizeRequest) async throws -> InstanceInfo {
        try await operations.resize(uuid, request, context)
    }

    func confirm(_ uuid: InstanceUUID) async throws -> InstanceInfo {
        try await operations.confirmResize(uuid, context)
    }

    func revert(_ uuid: InstanceUUID) async throws -> InstanceInfo {
        try await operations.revertResize(uuid, context)
    }

    // MARK: What is there

    func directory(_ uuid: InstanceUUID) -> String { "\(instancesPath)/\(uuid)" }

    func exists(_ path: String) -> Bool { FileManager.default.fileExists(atPath: path) }

    /// Returns when the operation has its turn.
    func untilRunning(_ operation: String, _ uuid: InstanceUUID) async throws {
        try await eventually("\(operation) in progress") {
            operations.instance(uuid)?.snapshot.activity?.operation == operation
        }
    }

    func state(_ uuid: InstanceUUID) async throws -> String { try await operations.info(uuid).state }

    func record(_ uuid: InstanceUUID) async throws -> InstanceRecord? {
        try await journal.records().first { $0.uuid == uuid }
    }

    func log(_ uuid: InstanceUUID) async throws -> String {
        try await operations.consoleOutput(uuid, tailLength: nil)
    }

    func marks(_ uuid: InstanceUUID) async throws -> [ConsoleMarkKind] {
        try await operations.consoleMarks(uuid).map(\.kind)
    }

    /// Whether a writer is attached, or trying to.
    func isCaptured(_ uuid: InstanceUUID) async throws -> Bool {
        try await console.status(uuid, directory: directory(uuid)).state != .closed
    }

    func type(_ line: String, on uuid: InstanceUUID) async throws {
        try await backend.writeConsole(uuid, Array("\(line)\n".utf8))
    }

    func awaitLog(_ uuid: InstanceUUID, contains text: String) async throws {
        try await eventually("\(text) in the log") { try await log(uuid).contains(text) }
    }

    /// What this host has of the instance, in any form.
    func traces(_ uuid: InstanceUUID) async throws -> [String] {
        var traces: [String] = []
        if exists(directory(uuid)) { traces.append("directory") }
        do {
            _ = try await backend.machine(uuid)
            traces.append("machine")
        } catch let error as BackendError where error.code == .notFound {
        }
        if try await record(uuid) != nil { traces.append("record") }
        if operations.instance(uuid) != nil { traces.append("registered") }
        if operations.leftovers.withLock({ $0[uuid] }) != nil { traces.append("leftover") }
        traces += world.simulated.pluggedInterfaces.filter { $0.host == name && $0.uuid == uuid }
            .map { "interface \($0.interfaceID)" }
        traces += world.simulated.connectedVolumes.filter { $0.host == name }.map { "volume \($0.volumeID)" }
        return traces
    }
}
