import HostBackend
package import Logging
import NovaObjects
package import OsloMessaging
import Support
import Synchronization
import VMOps

/// A host as a compute service of Nova's: its records, its signs of life, and its instances brought into line with the
/// database (Nova's compute RPC, chapter 6).
///
/// The host serves once it is registered, which waits for a conductor as long as it takes. After that no outage of the
/// conductor holds up anything but the reports.
package final class ComputeService: Sendable {
    private static let firstPause = Duration.milliseconds(250)
    private static let longestPause = Duration.seconds(5)
    /// Between two attempts at what somebody has to put right.
    private static let longestRefusedPause = Duration.seconds(60)
    /// How often a machine that changed is looked at while Nova is busy with it, before the next comparison of all.
    private static let looks = 20
    private static let lookPause = Duration.seconds(2)

    let methods: NovaMethods
    let conductor: Conductor
    let identity: NodeIdentity
    let changes: HostChanges
    let openRequests: @Sendable () async throws -> Set<String>
    let logger: Logger
    /// Machines that a look is due for.
    private let looking = Mutex<Set<InstanceUUID>>([])
    /// The first refusal, if there is one, and then that the host is registered.
    private let outcomes: AsyncStream<ComputeServiceError?>
    private let outcome: AsyncStream<ComputeServiceError?>.Continuation
    private let refused = Mutex<ComputeServiceError?>(nil)

    package var host: String { methods.host }
    var operations: VMOps { methods.operations }
    var settings: NovaSettings { methods.settings }

    /// - Parameters:
    ///   - openRequests: the instances for which there are requests that have been accepted and not ended.
    package init(
        endpoint: NovaEndpoint,
        conductor: Conductor,
        identity: NodeIdentity,
        changes: HostChanges,
        openRequests: @escaping @Sendable () async throws -> Set<String>,
        logger: Logger
    ) {
        methods = endpoint.table
        self.conductor = conductor
        self.identity = identity
        self.changes = changes
        self.openRequests = openRequests
        self.logger = logger
        (outcomes, outcome) = AsyncStream.makeStream(of: ComputeServiceError?.self)
    }

    /// The uuid of the instance that a request is about, in whichever of the two interfaces.
    package static func instance(of request: RPCRequest) -> String? {
        let named = request.args["instance"]
        return named?["uuid"]?.stringValue ?? named?["nova_object.data"]?["uuid"]?.stringValue
            ?? request.args["instance_uuid"]?.stringValue
    }

    /// Returns when the host is registered, or cannot be as things are, or the task is cancelled. To be called once.
    ///
    /// - Returns: why it cannot be. It is tried again with pauses.
    package func untilDecided() async -> ComputeServiceError? {
        for await outcome in outcomes { return outcome }
        return nil
    }

    /// Returns when a host is registered that could not be at first. To be called once, after ``untilDecided()``.
    ///
    /// - Returns: `false` when the service or the task has ended before.
    package func untilRegistered() async -> Bool {
        for await outcome in outcomes where outcome == nil { return true }
        return false
    }

    /// Why the host is not registered; `nil` when it is, or nothing is wrong so far.
    package var refusal: ComputeServiceError? { refused.withLock { $0 } }

    /// Registers the host, then reports until the task is cancelled.
    package func run() async {
        guard let (records, later) = await begin() else { return outcome.finish() }
        methods.cloud.provider.node = records.node["id"]?.intValue
        outcome.yield(nil)
        outcome.finish()
        logger.info("registered with the control plane", metadata: ["node": "\(records.nodeUUID)"])
        await withDiscardingTaskGroup { group in
            group.addTask { await self.reportRegularly(records) }
            group.addTask { await self.followResources(records) }
            group.addTask { await self.every(self.settings.resourceInterval) { self.changes.lookAtResources() } }
            group.addTask { await self.followMachines() }
            group.addTask { await self.reportProviderRegularly(records) }
            if methods.cloud.network != nil {
                group.addTask { await self.every(self.settings.resourceInterval) { await self.releaseLeftPorts() } }
            }
            if settings.syncInterval > .zero {
                group.addTask { await self.every(self.settings.syncInterval) { await self.compareAll() } }
            }
            for (instance, action) in later { group.addTask { await self.performLater(action, instance) } }
        }
    }

    /// - Returns: `nil` when the host is not to be registered any more.
    private func begin() async -> (
        records: ServiceRecords, later: [(instance: NovaInstance, action: Reconciliation.Action)]
    )? {
        var pauses = Backoff(initial: Self.firstPause, maximum: Self.longestPause)
        var refusedPauses = Backoff(initial: .seconds(1), maximum: Self.longestRefusedPause)
        var isTold = false
        while true {
            do {
                try await conductor.ping()
                let records = try await register()
                let later = try await reconcile(records.nodeUUID)
                refused.withLock { $0 = nil }
                return (records, later)
            } catch let error as ComputeServiceError {
                refuse(error)
                try? await Task.sleep(for: refusedPauses.next())
                if Task.isCancelled { return nil }
                continue
            } catch {
                if Task.isCancelled { return nil }
                let level: Logger.Level = isTold ? .debug : .warning
                isTold = true
                logger.log(level: level, "waiting for the conductor", metadata: ["error": "\(error)"])
            }
            try? await Task.sleep(for: pauses.next())
        }
    }

    /// The first refusal is told to whoever waits, a new one only to the log.
    private func refuse(_ error: ComputeServiceError) {
        let before = refused.withLock { refused in
            defer { refused = error }
            return refused
        }
        if before?.message != error.message {
            logger.critical("not registered with the control plane", metadata: ["error": "\(error)"])
        }
        if before == nil { outcome.yield(error) }
    }

    /// One call after the other, until the task is cancelled.
    private func every(_ interval: Duration, _ body: () async -> Void) async {
        while (try? await Task.sleep(for: interval)) != nil { await body() }
    }

    // MARK: - Signs of life

    private func reportRegularly(_ records: ServiceRecords) async {
        var count = records.reportCount
        var isHeard = true
        while (try? await Task.sleep(for: settings.reportInterval)) != nil {
            do {
                try await conductor.heartbeat(records.service, count: count + 1, context: AdminContext.make())
                count += 1
                if !isHeard { logger.notice("the conductor takes note of this host again") }
                isHeard = true
            } catch {
                if Task.isCancelled { return }
                if isHeard {
                    logger.warning("the conductor takes no note of this host", metadata: ["error": "\(error)"])
                }
                isHeard = false
            }
        }
    }

    // MARK: - Machines

    /// A machine that changes while Nova does something with it is looked at again when that is done.
    private func followMachines() async {
        await withDiscardingTaskGroup { group in
            for await uuid in changes.machines where looking.withLock({ $0.insert(uuid).inserted }) {
                group.addTask {
                    for _ in 0..<Self.looks {
                        // What happens from here on is worth another look.
                        self.looking.withLock { _ = $0.remove(uuid) }
                        if await self.compare(uuid) { return }
                        guard self.looking.withLock({ $0.insert(uuid).inserted }) else { return }
                        if (try? await Task.sleep(for: Self.lookPause)) == nil { return }
                    }
                    self.looking.withLock { _ = $0.remove(uuid) }
                }
            }
        }
    }

    // MARK: - Resources

    private func followResources(_ records: ServiceRecords) async {
        var written = records.nodeFields
        for await _ in changes.resources {
            do {
                let fields = try await nodeFields()
                let news = fields.filter { written[$0.key] != $0.value }
                if news.isEmpty { continue }
                try await conductor.saveNode(
                    records.node,
                    JSONObject(news.map { ($0.key, $0.value) }),
                    context: AdminContext.make()
                )
                written = fields
            } catch {
                if Task.isCancelled { return }
                logger.warning("resources not reported", metadata: ["error": "\(error)"])
            }
        }
    }
}
