package import AMQPModel
import AMQPTransport
package import Logging
import OsloMessaging
import ServiceLifecycle
import Support
import Synchronization

/// Serves hosts: consumes their queues, runs the methods of their endpoints, and answers.
///
/// - A read is acknowledged when it is taken. A mutating request is acknowledged when its host's journal has it, runs
///   within ``AdmissionLimits``, and is carried to an end exactly once, across crashes; its reply is owed until the
///   broker has confirmed it.
/// - Every call gets one final reply; monitored calls get heartbeats from their reception on.
/// - Methods run on the global pool, apart from inline ones, which run on the session's I/O thread.
///
/// ``run()`` serves until graceful shutdown (then everything taken is finished, within
/// ``RPCWorkerSettings/drainTimeout``) or cancellation (then nothing is waited for; the next start takes it up).
package final class RPCWorker: Service {
    private struct Channel: Sendable {
        let link: BrokerLink
        let session: BrokerSession
        let publisher: ReplyPublisher
        let hosts: [HostService]
    }

    private let engine: RequestEngine
    private let isStopping = Atomic<Bool>(false)
    private let channels: [Channel]
    private let settings: RPCWorkerSettings
    private let logger: Logger

    /// - Parameters:
    ///   - hosts: at least one; their names are different. The journals stay open for their owner to close.
    ///   - connection: where the broker is; each session adds its number to the connection's name.
    /// - Throws: ``RPCWorkerError`` `configuration`.
    package init(
        hosts: [ServedHost],
        connection: ConnectionOptions,
        settings: RPCWorkerSettings,
        logger: Logger
    ) throws {
        try Self.check(hosts, settings)
        self.settings = settings
        self.logger = logger
        let engine = RequestEngine(hosts: hosts.count, settings: settings, logger: logger)
        self.engine = engine
        let count = min(max(1, settings.sessions), hosts.count)
        channels = (0..<count).map { number in
            let share = hosts.enumerated().filter { $0.offset % count == number }
            var options = connection
            if count > 1 { options.connectionName += ":\(number + 1)" }
            return Self.channel(share.map { ($0.offset, $0.element) }, options, engine, settings, logger)
        }
    }

    private static func check(_ hosts: [ServedHost], _ settings: RPCWorkerSettings) throws {
        var problems = settings.topology.problems
        if hosts.isEmpty { problems.append("no host to serve") }
        if settings.topics.isEmpty { problems.append("no topic to serve") }
        if Set(hosts.map(\.name)).count != hosts.count { problems.append("two hosts have the same name") }
        for host in hosts {
            for topic in settings.topics where host.name.isEmpty || "\(topic).\(host.name)".utf8.count > 255 {
                problems.append("no queue can be named after topic \(topic) and host \"\(host.name)\"")
            }
        }
        guard problems.isEmpty else { throw RPCWorkerError(.configuration, problems.joined(separator: "; ")) }
    }

    private static func channel(
        _ hosts: [(index: Int, host: ServedHost)],
        _ connection: ConnectionOptions,
        _ engine: RequestEngine,
        _ settings: RPCWorkerSettings,
        _ logger: Logger
    ) -> Channel {
        let link = BrokerLink()
        let publisher = ReplyPublisher(
            outlet: link,
            timers: engine.timers,
            settings: settings.replies,
            metrics: engine.metrics,
            logger: logger
        )
        let services = hosts.map { entry in
            HostService(entry.host, index: entry.index, link: link, publisher: publisher, settings: settings)
        }
        let identities = services.flatMap { service in
            settings.topics.map { topic in
                ServerIdentity(
                    topic: topic,
                    server: service.name,
                    fanoutID: FanoutSeed.id(settings.fanoutSeed, topic: topic, server: service.name)
                )
            }
        }
        let topology = ServerTopology(servers: identities, exchange: settings.exchange, options: settings.topology)
        let owners = topology.consumers.mapValues { services[$0.server / settings.topics.count] }
        let prefetch = UInt16(clamping: settings.topology.prefetchCount)
        let session = BrokerSession(
            options: connection,
            settings: SessionSettings(
                topology: topology.steps,
                prefetch: prefetch > 0 ? prefetch : settings.prefetch,
                maximumMessageBytes: settings.maximumMessageBytes,
                deleteOnClose: fanoutQueues(identities, settings.topology)
            ),
            handler: SessionSink(engine: engine, link: link, hosts: owners),
            logger: logger
        )
        return Channel(link: link, session: session, publisher: publisher, hosts: services)
    }

    /// The queues that an orderly shutdown deletes (oslo.messaging wire, section 2.2). A stream is shared by all.
    private static func fanoutQueues(_ identities: [ServerIdentity], _ options: TopologyOptions) -> [String] {
        guard !options.streamFanout else { return [] }
        return identities.map { RPCTopology.fanoutQueue($0.topic, $0.fanoutID, options) }
    }

    /// Serves until graceful shutdown or cancellation.
    ///
    /// - Throws: ``RPCWorkerError`` `journal` when what an earlier run left cannot be read; `TransportError` when a
    ///   session cannot run at all.
    package func run() async throws {
        for channel in channels { channel.link.connect(to: channel.session) }
        defer {
            engine.abandon()
            for channel in channels { channel.link.disconnect() }
        }
        try await restore()
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { await self.engine.timers.run() }
            for channel in channels { group.addTask { try await channel.session.run() } }
            group.addTask { await self.sendOwedReplies() }
            group.addTask {
                try await gracefulShutdown()
                await self.shutDown()
            }
            engine.isServing.store(true, ordering: .releasing)
            engine.startWaiting()
            // One end each for owed replies, shutdown and sessions; the timers go on until all others have ended.
            for _ in 0..<(channels.count + 2) { try await group.next() }
            group.cancelAll()
        }
    }

    /// Returns when all sessions are connected and consume.
    package func waitUntilReady() async throws {
        for channel in channels { try await channel.session.waitUntilReady() }
    }

    /// Returns when every session's I/O thread has answered: a sign of life.
    package func checkIn() async {
        for channel in channels { await channel.session.checkIn() }
    }

    /// Lets the graceful shutdown that follows leave things to another process, which serves the same hosts with the
    /// same ``RPCWorkerSettings/fanoutSeed``: the fan-out queues stay, and what is not done within `drainTimeout` is
    /// done there instead of failing.
    package func handOver(drainTimeout: Duration) {
        engine.handsOver.store(true, ordering: .releasing)
        engine.drainTimeout.withLock { $0 = drainTimeout }
    }

    package var status: RPCWorkerStatus {
        let (running, queued, held) = engine.admission.withLock { ($0.running, $0.waiting, $0.held) }
        return RPCWorkerStatus(
            sessions: channels.map(\.session.status),
            running: running,
            queued: queued,
            held: held,
            repliesOwed: channels.reduce(0) { $0 + $1.publisher.waiting },
            monitoredCalls: engine.monitor.count,
            outstanding: engine.outstanding.count,
            isStopping: isStopping.load(ordering: .relaxed)
        )
    }

    /// Changes how much is admitted from here on; what runs or waits is not touched.
    package func update(_ limits: AdmissionLimits, drainTimeout: Duration? = nil) {
        if let drainTimeout { engine.drainTimeout.withLock { $0 = drainTimeout } }
        engine.admission.withLock { $0.limits = limits }
        engine.startWaiting()
    }

    private func restore() async throws {
        for channel in channels {
            for host in channel.hosts {
                do {
                    try await engine.restore(host)
                } catch {
                    throw RPCWorkerError(.journal, "journal of host \(host.name) cannot be read", cause: error)
                }
            }
        }
    }

    private func sendOwedReplies() async {
        for channel in channels {
            for host in channel.hosts {
                do {
                    try await engine.sendOwedReplies(host)
                } catch {
                    logger.error(
                        "owed replies cannot be read",
                        metadata: [LogKey.host: "\(host.name)", LogKey.error: "\(error)"]
                    )
                }
            }
        }
    }

    /// Stops consuming, finishes what was taken, says goodbye. What was delivered and not taken returns to its queue.
    private func shutDown() async {
        isStopping.store(true, ordering: .relaxed)
        await withDiscardingTaskGroup { group in
            for channel in channels { group.addTask { await channel.session.stopConsuming() } }
        }
        await engine.drain()
        let staysAway = !engine.handsOver.load(ordering: .acquiring)
        await withDiscardingTaskGroup { group in
            for channel in channels {
                channel.publisher.close()
                group.addTask {
                    await channel.session.close(draining: self.settings.closeTimeout, deletingQueues: staysAway)
                }
            }
        }
    }
}
