import Glibc
package import HostBackend
package import Logging
import Metrics
package import PluginProtocol
import Support
import Synchronization

/// A hypervisor host that a plugin drives.
///
/// One task supervises the plugin: starts it, takes its inventory, follows its events, and starts it again when it ends,
/// hangs or breaks the protocol. Meanwhile every primitive throws `unavailable` at once. Whatever a plugin does, it costs
/// this host's thread and bounded memory, and nothing of other hosts.
package final class PluginHost: HostBackend {
    struct State {
        var link: (any PluginLink)?
        var capabilities: HostCapabilities
        var hostID: String?
        var hasRemoteFiles = false
        var inventory = PluginInventory()
        var status = PluginStatus()
        var supervisor: Task<Void, Never>?
        var isStopping = false
        /// Who waits for the end of the first start, good or bad.
        var firstStart: [CheckedContinuation<Void, Never>]? = []
        /// Whether somebody has been told to expect events; until then there is nobody who missed any.
        var isConnected = false
    }

    package let name: String
    let directory: String
    let launcher: PluginLauncher
    private let workerVersion: String
    private let digest: @Sendable (String) async throws -> String
    private let settingsBox: Mutex<PluginSettings>
    let logger: Logger
    let metrics: PluginMetrics
    let eventHub = EventHub(keepsEarlyEvents: true)
    let consoles = PluginConsoles()
    let state: Mutex<State>

    /// - Parameters:
    ///   - directory: the host's own, which holds `instances` and `plugin`.
    ///   - digest: computes a file's SHA-256 in hexadecimal digits.
    /// - Throws: ``PluginError/Code/start`` when there is no thread for it.
    package init(
        name: String,
        settings: PluginSettings,
        directory: String,
        workerVersion: String,
        digest: @escaping @Sendable (String) async throws -> String,
        logger: Logger
    ) throws(PluginError) {
        self.name = name
        settingsBox = Mutex(settings)
        self.directory = directory
        self.workerVersion = workerVersion
        self.digest = digest
        self.logger = logger
        launcher = try PluginLauncher(name: "plugin", logger: logger)
        metrics = PluginMetrics(host: name)
        let kept = KeptFacts(directory + "/plugin.json")
        state = Mutex(State(capabilities: kept?.capabilities ?? HostCapabilities(flags: []), hostID: kept?.hostID))
    }

    /// May be replaced at any time: what concerns the plugin's process takes effect with its next start.
    package var settings: PluginSettings {
        get { settingsBox.withLock { $0 } }
        set { settingsBox.withLock { $0 = newValue } }
    }

    var stateDirectory: String { directory + "/plugin" }

    var launch: PluginLaunch {
        PluginLaunch(settings: settings, digest: digest, stateDirectory: stateDirectory)
    }

    var hello: WorkerHello {
        WorkerHello(
            workerVersion: workerVersion,
            host: name,
            instancesDirectory: directory + "/instances",
            stateDirectory: stateDirectory,
            options: settings.options
        )
    }

    /// What it said last that it can do, also while it does not run.
    package var capabilities: HostCapabilities { state.withLock { $0.capabilities } }

    package var status: PluginStatus {
        state.withLock { state in
            var status = state.status
            status.requests = state.link?.requests ?? 0
            return status
        }
    }

    // MARK: Service

    /// Begins to supervise the plugin, and waits until it runs or has failed once: a host whose plugin does not start
    /// is in service all the same, and tries again.
    package func connect() async throws {
        try await prepareDirectories()
        let path = offsetsPath
        consoles.keep(try await BlockingPool.shared.run { KeptOffsets.take(path) })
        try state.withLock { state throws(BackendError) in
            guard state.supervisor == nil, !state.isStopping else {
                throw BackendError(.conflict, "host \(name) is connected already")
            }
            // Cancelled and awaited by ``disconnect()``.
            state.supervisor = Task { await self.supervise() }
        }
        await withCheckedContinuation { continuation in
            let isOver = state.withLock { state in
                state.firstStart?.append(continuation)
                return state.firstStart == nil
            }
            if isOver { continuation.resume() }
        }
        state.withLock { $0.isConnected = true }
    }

    /// Ends the plugin in order; its machines keep running.
    package func disconnect() async {
        let supervisor = state.withLock { state in
            state.isStopping = true
            return state.supervisor
        }
        supervisor?.cancel()
        await supervisor?.value
        eventHub.end()
        guard supervisor != nil, capabilities.has(.consoleResumable) else { return }
        let (offsets, path) = (consoles.offsets, offsetsPath)
        do {
            try await BlockingPool.shared.run { try KeptOffsets.write(offsets, path) }
        } catch {
            logger.warning("the consoles' offsets are not kept", metadata: ["error": "\(error)"])
        }
    }

    private var offsetsPath: String { directory + "/consoles.json" }

    package func events() -> AsyncStream<MachineEvent> { eventHub.subscribe() }

    private func prepareDirectories() async throws {
        let (launch, directory, shape) = (launch, directory, settings.shape)
        do {
            try await BlockingPool.shared.run {
                try makeDirectories(directory + "/plugin")
                try makeDirectories(directory + "/instances")
                guard shape != .socket, let user = try launch.user() else { return }
                try PluginUser.openWay(directory)
                try PluginUser.openWay(directory + "/instances")
                if let slash = directory.lastIndex(of: "/"), slash != directory.startIndex {
                    try PluginUser.openWay(String(directory[..<slash]))
                }
                try user.take(directory + "/plugin")
            }
        } catch let error as PluginError {
            throw BackendError(.invalidArgument, error.message)
        }
    }

    // MARK: Requests

    /// The plugin, if it runs.
    func link() throws(BackendError) -> any PluginLink {
        let (link, error) = state.withLock { ($0.link, $0.status.lastError) }
        if let link { return link }
        throw BackendError(.unavailable, "the plugin of host \(name) does not run" + (error.map { ": \($0)" } ?? ""))
    }

    /// Asks the plugin, unless it lacks the ability.
    ///
    /// A plugin that is busy is asked again for a while, with the same key.
    ///
    /// - Parameters:
    ///   - deadline: `nil` = the usual one.
    ///   - isEndless: there is none.
    func ask(
        _ method: PluginMethod,
        _ params: JSONObject = [:],
        deadline: Duration? = nil,
        isEndless: Bool = false,
        progress: AsyncStream<JSONObject>.Continuation? = nil
    ) async throws -> PluginMembers {
        let link = try link()
        if let needed = method.capability, !capabilities.has(needed) { throw BackendError.unsupported(method.rawValue) }
        let limit = isEndless ? nil : deadline ?? settings.requestTimeout * (method.isLong ? 60 : 1)
        let key = method.isRead ? nil : UniqueID.make()
        var pauses = Backoff(initial: .milliseconds(200), maximum: .seconds(2))
        var attempt = 0
        while true {
            attempt += 1
            metrics.requests.increment()
            do throws(PluginError) {
                let result = try await link.request(method, params, deadline: limit, key: key, progress: progress)
                return PluginMembers(result, of: "the plugin's answer to \(method.rawValue)", code: .internal)
            } catch {
                metrics.refusals.increment()
                guard error.fault?.code == .busy else { throw error.backendError }
                if attempt == 8 {
                    throw BackendError(.unavailable, "the plugin is busy with it: \(error.backendError.message)")
                }
            }
            try await Task.sleep(for: pauses.next())
        }
    }
}

extension PluginMethod {
    /// Works on whole disks, or fetches them.
    var isLong: Bool {
        switch self {
        case .imageGet, .diskCreate, .diskResize, .machineExportRootDisk, .machineSetState, .machineDelete,
            .instanceRemoveFiles:
            true
        default: false
        }
    }
}
