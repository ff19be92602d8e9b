import Dispatch
import GRDB
import Glibc
import Logging
import Metrics
import Support
import Synchronization

/// The journal's file and the transactions on it. Used by one thread at a time, which may block.
final class JournalStore: Sendable {
    private struct State {
        var queue: DatabaseQueue?
        var nextAgeing: Int64 = 0
        /// Whether the last transaction failed, so that a repeated failure is not logged each time.
        var failing = false
    }

    let settings: JournalSettings
    private let path: String
    private let schema: JournalSchema
    private let logger: Logger
    private let metrics: JournalMetrics
    /// Held while a transaction is written: only committer threads and the opening thread ever wait for it.
    private let state = Mutex(State())

    init(
        path: String,
        settings: JournalSettings,
        schema: JournalSchema,
        logger: Logger,
        metrics: JournalMetrics
    ) {
        self.path = path
        self.schema = schema
        self.settings = settings
        self.logger = logger
        self.metrics = metrics
    }

    func openChecked() throws {
        try state.withLock {
            $0.queue = try JournalFile.open(path: path, settings: settings, schema: schema, check: true)
        }
    }

    /// Closes the file; the next transaction opens it again.
    func close() {
        state.withLock { close(&$0) }
    }

    private func close(_ state: inout State) {
        do {
            try state.queue?.close()
        } catch {
            logger.warning("journal did not close cleanly", metadata: ["path": "\(path)", "error": "\(error)"])
        }
        state.queue = nil
    }

    /// Runs the operations in one transaction and completes each.
    ///
    /// - Returns: whether the file is open now.
    func commit(_ batch: [JournalOperation]) -> Bool {
        let start = DispatchTime.now()
        let (results, isOpen) = state.withLock { state in
            let results = write(batch, &state)
            note(results, &state)
            age(&state)
            if batch.last?.isClose == true { close(&state) }
            return (results, state.queue != nil)
        }
        metrics.commits.increment()
        metrics.operations.increment(by: batch.count)
        metrics.commitTime.recordInterval(since: start)
        for (operation, result) in zip(batch, results) { operation.completion(result) }
        return isOpen
    }

    /// Folds the write-ahead log into the database and cuts it to nothing. A failure costs nothing but secrecy: it is
    /// logged, and the next request to end brings another attempt.
    ///
    /// - Returns: whether the file is open now.
    func scrub() -> Bool {
        state.withLock { state in
            do {
                try state.queue?.writeWithoutTransaction { db in _ = try db.checkpoint(.truncate) }
            } catch {
                logger.warning("journal's log not cleared", metadata: ["path": "\(path)", "error": "\(error)"])
            }
            return state.queue != nil
        }
    }

    private typealias Results = [Result<JournalOperation.Value, any Error>]

    private func write(_ batch: [JournalOperation], _ state: inout State) -> Results {
        do {
            return try transaction(batch, &state)
        } catch let failure {
            drop(&state, after: failure)
            guard batch.count > 1 else { return [.failure(failure)] }
            return writeOneByOne(batch, &state)
        }
    }

    /// After a failed transaction: each operation in its own, so that one that cannot be written fails alone. Given up
    /// when failure follows failure, because then it is the disk.
    private func writeOneByOne(_ batch: [JournalOperation], _ state: inout State) -> Results {
        var results: Results = []
        var row: (count: Int, error: JournalError?) = (0, nil)
        for operation in batch {
            if row.count >= 3, let error = row.error {
                results.append(.failure(error))
                continue
            }
            do {
                results += try transaction([operation], &state)
                row = (0, nil)
            } catch let failure {
                drop(&state, after: failure)
                results.append(.failure(failure))
                row = (row.count + 1, failure)
            }
        }
        return results
    }

    /// - Throws: when the transaction as a whole failed; nothing of it is in the file then.
    private func transaction(_ batch: [JournalOperation], _ state: inout State) throws(JournalError) -> Results {
        do {
            let queue =
                try state.queue ?? JournalFile.open(path: path, settings: settings, schema: schema, check: false)
            state.queue = queue
            return try queue.writeWithoutTransaction { db in
                if batch.allSatisfy(\.isRead) { return batch.map { operation in read(operation, in: db) } }
                try db.beginTransaction(.immediate)
                do {
                    let results = try apply(batch, in: db)
                    try db.commit()
                    return results
                } catch {
                    if db.isInsideTransaction { try? db.rollback() }
                    throw error
                }
            }
        } catch {
            throw JournalFile.translate(error, path: path)
        }
    }

    private func read(_ operation: JournalOperation, in db: Database) -> Result<JournalOperation.Value, any Error> {
        Result { try JournalStatements.apply(operation.kind, in: db) }
            .mapError { JournalFile.translate($0, path: path) }
    }

    private func apply(_ batch: [JournalOperation], in db: Database) throws -> Results {
        let isFull = try JournalAgeing.usedBytes(db) >= settings.sizeLimit
        var results: Results = []
        results.reserveCapacity(batch.count)
        for operation in batch {
            if isFull, case .accept = operation.kind {
                results.append(.failure(JournalError(.full, "journal \(path) has reached its size limit")))
                continue
            }
            do {
                results.append(.success(try JournalStatements.apply(operation.kind, in: db)))
            } catch {
                // SQLite ends the whole transaction after some failures; the batch is then tried one by one.
                guard db.isInsideTransaction else { throw error }
                results.append(.failure(JournalFile.translate(error, path: path)))
            }
        }
        return results
    }

    /// Some failures leave the connection in doubt; the next transaction gets a new one.
    private func drop(_ state: inout State, after failure: JournalError) {
        guard failure.code != .full else { return }
        try? state.queue?.close()
        state.queue = nil
    }

    private func note(_ results: Results, _ state: inout State) {
        var failures = 0
        var failure: (any Error)?
        for result in results {
            switch result {
            case .failure(let error):
                failures += 1
                failure = error
            case .success(.acceptance(.duplicate)): metrics.duplicates.increment()
            case .success: break
            }
        }
        if let failure {
            metrics.failures.increment(by: failures)
            if !state.failing { logger.error("journal cannot be written", metadata: ["error": "\(failure)"]) }
        } else if state.failing {
            logger.notice("journal can be written again", metadata: ["path": "\(path)"])
        }
        state.failing = failure != nil
    }

    private func age(_ state: inout State) {
        let now = Self.now()
        guard now >= state.nextAgeing, let queue = state.queue else { return }
        state.nextAgeing = now + settings.ageingInterval.milliseconds
        do {
            let report = try queue.writeWithoutTransaction { db in
                try JournalAgeing.run(db, now: now, settings: settings)
            }
            if report.isPartial { state.nextAgeing = now }
            if report.early > 0 {
                metrics.forgottenEarly.increment(by: report.early)
                logger.warning(
                    "journal near its size limit: request ids forgotten early",
                    metadata: ["path": "\(path)", "ids": "\(report.early)", "bytes": "\(report.usedBytes)"]
                )
            }
        } catch {
            logger.warning("journal ageing failed", metadata: ["path": "\(path)", "error": "\(error)"])
        }
    }

    /// Milliseconds since 1970.
    static func now() -> Int64 {
        var time = timespec()
        clock_gettime(CLOCK_REALTIME, &time)
        return Int64(time.tv_sec) * 1_000 + Int64(time.tv_nsec) / 1_000_000
    }
}
