package import HostBackend
package import Logging
import Support
import Synchronization

/// The consoles of one host: captures what running machines print, and reads what was captured.
///
/// A machine has at most one session, and its log one writer. Starting and ending a session are serialised per machine;
/// reading and marking are not. Nothing of it ever fails an operation on a machine: trouble shows in
/// ``status(_:directory:)``. Sessions run as children of ``run()``.
package final class ConsoleService: Sendable {
    /// What closing waits beyond the drain timeout for a session to notice it.
    private static let closingGrace = Duration.milliseconds(250)

    let engine: ConsoleEngine
    let registry = ConsoleRegistry()
    private let logger: Logger
    private let metrics: ConsoleMetrics
    private let current: Mutex<ConsoleSettings>
    private let starts: AsyncStream<ConsoleSession>
    private let start: AsyncStream<ConsoleSession>.Continuation

    /// `host` labels the metrics.
    package init(host: String, settings: ConsoleSettings, engine: ConsoleEngine, logger: Logger) {
        self.engine = engine
        self.logger = logger
        metrics = ConsoleMetrics(host: host)
        current = Mutex(settings)
        // Unbounded, but there is at most one session per machine of the host.
        (starts, start) = AsyncStream.makeStream()
    }

    /// The options in force. New ones hold for what happens next; retained bytes are trimmed when a log is next written.
    package var settings: ConsoleSettings {
        get { current.withLock { $0 } }
        set {
            current.withLock { $0 = newValue }
            for (_, entry) in registry.all { entry.log.apply(newValue) }
        }
    }

    // MARK: - Life

    /// Runs the sessions until ``shutdown()`` or cancellation; both close them, and machines keep running.
    package func run() async throws {
        await withDiscardingTaskGroup { group in
            for await session in starts {
                group.addTask { await session.run() }
            }
            // Reached by cancellation and by shutdown, which has ended the sessions.
            group.cancelAll()
        }
        await closeAll()
    }

    /// Ends every session without waiting for what hosts may still deliver; ``run()`` returns.
    package func shutdown() async {
        await closeAll()
        start.finish()
    }

    private func closeAll() async {
        await withDiscardingTaskGroup { group in
            for (uuid, entry) in registry.all where entry.current != nil {
                group.addTask {
                    await self.unlessCancelled { await self.end(uuid, entry, mark: nil, hasty: true) }
                }
            }
        }
    }

    // MARK: - Sessions

    /// Makes sure that the machine's console is being captured, and marks the place.
    ///
    /// Does nothing more if it is, except to end a pause before the next connection. Returns before the endpoint is
    /// open. `directory` is the instance's and must exist; it is not made.
    package func ensure(
        _ uuid: InstanceUUID,
        directory: String,
        mark: ConsoleMarkKind?,
        open: @escaping @Sendable () async throws -> ConsoleEndpoint
    ) async {
        await unlessCancelled { [self] in
            await withEntry(uuid, directory) { entry in
                try? await entry.lane.run {
                    if let mark { entry.log.mark(mark) }
                    if let session = entry.current, !session.isOver { return session.retryNow() }
                    let session = ConsoleSession(
                        uuid: uuid,
                        log: entry.log,
                        reactor: engine.reactor,
                        logger: logger,
                        onReconnect: { [metrics] in metrics.reconnected() },
                        open: open
                    )
                    entry.current = session
                    entry.log.look()
                    metrics.sessions(registry.sessions)
                    if case .terminated = start.yield(session) {
                        logger.warning("console service has ended", metadata: ["instance": "\(uuid)"])
                    }
                }
            }
        }
    }

    /// Captures what the host still delivers, within the drain timeout, marks the place and closes; with
    /// `on_stop = delete` a mark `stop` or `crash` deletes the log as well. Does nothing if the console is not captured.
    package func close(_ uuid: InstanceUUID, mark: ConsoleMarkKind?) async {
        guard let entry = registry.entry(uuid) else { return }
        await unlessCancelled { [self] in
            await withEntry(uuid, entry.log.directory) { entry in
                try? await entry.lane.run { await end(uuid, entry, mark: mark, hasty: false) }
            }
        }
    }

    private func end(
        _ uuid: InstanceUUID,
        _ entry: ConsoleRegistry.Entry,
        mark: ConsoleMarkKind?,
        hasty: Bool
    ) async {
        guard let session = entry.current else { return }
        session.close(hasty: hasty)
        await session.waitUntilFinished(limit: settings.drainTimeout + Self.closingGrace)
        if let mark { entry.log.mark(mark) }
        await entry.log.finish()
        if settings.onStop == .delete, mark == .stop || mark == .crash {
            do {
                try await entry.log.perform { try $0.removeAll() }
            } catch {
                logger.warning("console log not deleted", metadata: ["instance": "\(uuid)", "error": "\(error)"])
            }
        }
        entry.current = nil
        metrics.sessions(registry.sessions)
    }

    /// Records a boundary behind what was captured so far; for a machine that is captured.
    package func mark(_ uuid: InstanceUUID, _ kind: ConsoleMarkKind) {
        registry.entry(uuid)?.log.mark(kind)
    }

    /// Ends the capture and deletes all segments and the index. Missing files are fine.
    package func delete(_ uuid: InstanceUUID, directory: String) async throws {
        try await withEntry(uuid, directory) { entry in
            try await entry.lane.run {
                await unlessCancelled { await self.end(uuid, entry, mark: nil, hasty: true) }
                try await self.files(entry) { try $0.removeAll() }
            }
        }
    }

    // MARK: - Help

    func withEntry<Result>(
        _ uuid: InstanceUUID,
        _ directory: String,
        _ body: (ConsoleRegistry.Entry) async throws -> Result
    ) async rethrows -> Result {
        let entry = registry.hold(uuid, directory) {
            ConsoleLog(directory: directory, settings: settings, engine: engine, metrics: metrics)
        }
        defer { registry.letGo(uuid, entry) }
        return try await body(entry)
    }

    /// Works on the files of a log; without a session nothing about them is remembered afterwards, because the directory
    /// may change hands.
    func files<Result: Sendable>(
        _ entry: ConsoleRegistry.Entry,
        _ body: @escaping @Sendable (inout SegmentStore) throws -> Result
    ) async throws -> Result {
        let isOpen = entry.current != nil
        do {
            return try await entry.log.perform { store in
                defer { if !isOpen { store.forget() } }
                return try body(&store)
            }
        } catch let error as SystemCallError {
            throw ConsoleError(.storage, "console log not accessible", cause: error)
        }
    }

    /// Runs `body` to its end even if the calling task is cancelled: a console that was not closed would be captured
    /// for ever. The task is awaited here and never cancelled; what it does is bounded by the drain timeout.
    func unlessCancelled(_ body: @escaping @Sendable () async -> Void) async {
        await Task { await body() }.value
    }
}
