import DequeModule
package import Logging
import Synchronization

/// What one host must not forget: the requests it accepted, the replies it owes, the ids it has seen, and the records
/// of its instances, in one SQLite file.
///
/// Operations are queued and committed together: everything queued while one transaction is written goes into the
/// next. A completion is called, and an `async` operation returns, only after the commit has reached the disk.
/// Completions run on a committer thread and must be short. Calls may come from any thread; operations of one journal
/// take effect in the order of the calls.
///
/// A failing operation fails alone. When the disk is full or broken, operations fail with a transient
/// ``JournalError``, and later ones succeed once the disk is well again.
package final class Journal: Sendable {
    private struct State {
        enum Turn { case idle, lazy, ready, running }

        var pending: Deque<JournalOperation> = []
        /// Confirmations that could not be written; at most as many as there are replies in the file.
        var unwritten: [EntryID] = []
        var turn = Turn.idle
        var closed = false
        /// Whether the log holds bodies of ended requests, and the pool knows.
        var awaitsScrub = false
    }

    /// Rows in one transaction; bounds how long the first of a flood waits.
    private static let batchLimit = 512

    package let path: String
    private let pool: CommitterPool
    private let store: JournalStore
    private let state = Mutex(State())

    /// Opens the file, creating it (mode 0600) when there is none; checks its integrity and brings its schema up to
    /// date. Blocks; meant for the start of the process.
    ///
    /// - Throws: ``JournalError``, whose message says what to do about a damaged, locked or newer file.
    package convenience init(
        path: String,
        settings: JournalSettings = JournalSettings(),
        logger: Logger,
        pool: CommitterPool = .shared
    ) throws {
        try self.init(path: path, settings: settings, schema: .current, logger: logger, pool: pool)
    }

    /// The same with another schema than that of this release.
    init(
        path: String,
        settings: JournalSettings,
        schema: JournalSchema,
        logger: Logger,
        pool: CommitterPool
    ) throws {
        self.path = path
        self.pool = pool
        store = JournalStore(path: path, settings: settings, schema: schema, logger: logger, metrics: pool.metrics)
        try store.openChecked()
        pool.touched(self, isOpen: true)
    }

    /// Closes the file when everything queued is committed. Later operations fail with ``JournalError/Code/closed``.
    package func close() async {
        // Fails only when the journal is closed already, or cannot be written: then it is closed all the same.
        _ = try? await perform(.close)
    }

    /// Queues one operation; `completion` gets its result after the commit.
    func submit(
        _ kind: JournalOperation.Kind,
        completion: @escaping @Sendable (Result<JournalOperation.Value, any Error>) -> Void
    ) {
        submit(JournalOperation(kind: kind, completion: completion))
    }

    /// The note that a reply was delivered.
    func delivered(_ entry: EntryID) -> JournalOperation {
        JournalOperation(kind: .delivered(entry)) { [self] result in
            guard case .failure(let error) = result, (error as? JournalError)?.code != .closed else { return }
            state.withLock { $0.unwritten.append(entry) }
        }
    }

    func submit(_ operation: JournalOperation) {
        let (refusal, turn) = state.withLock { state -> (JournalError?, State.Turn?) in
            if state.closed { return (JournalError(.closed, "journal \(path) is closed"), nil) }
            if state.pending.count >= store.settings.pendingLimit, !operation.isClose {
                return (JournalError(.busy, "journal \(path) has too many operations waiting"), nil)
            }
            if operation.isClose { state.closed = true }
            if !operation.isLazy, !state.unwritten.isEmpty {
                state.pending.append(contentsOf: state.unwritten.map { delivered($0) })
                state.unwritten = []
            }
            state.pending.append(operation)
            switch (state.turn, operation.isLazy) {
            case (.idle, true):
                state.turn = .lazy
                return (nil, .lazy)
            case (.idle, false), (.lazy, false):
                state.turn = .ready
                return (nil, .ready)
            default:
                return (nil, nil)
            }
        }
        if let refusal { return operation.completion(.failure(refusal)) }
        if let turn { enterLine(turn) }
    }

    func perform(_ kind: JournalOperation.Kind) async throws -> JournalOperation.Value {
        try await withCheckedThrowingContinuation { continuation in
            submit(kind) { continuation.resume(with: $0) }
        }
    }

    private func enterLine(_ turn: State.Turn) {
        do {
            if turn == .lazy { try pool.lazy(self) } else { try pool.ready(self) }
        } catch {
            let abandoned = state.withLock { state in
                state.turn = .idle
                defer { state.pending.removeAll() }
                return state.pending
            }
            for operation in abandoned { operation.completion(.failure(error)) }
        }
    }

    /// Commits what is queued. Called by a committer thread.
    func commitPending() {
        let batch = state.withLock { state -> [JournalOperation] in
            // A journal can stand in line twice: as one with confirmations only, and as one with work.
            guard state.turn == .ready || state.turn == .lazy else { return [] }
            state.turn = .running
            let batch = Array(state.pending.prefix(Self.batchLimit))
            state.pending.removeFirst(batch.count)
            return batch
        }
        guard !batch.isEmpty else { return }
        let isOpen = store.commit(batch)
        if isOpen, batch.contains(where: \.endsRequest) { requestScrub() }
        endTurn(isOpen: isOpen)
    }

    private func endTurn(isOpen: Bool) {
        let turn = state.withLock { state -> State.Turn in
            if state.pending.isEmpty {
                state.turn = .idle
            } else {
                state.turn = state.pending.allSatisfy(\.isLazy) ? .lazy : .ready
            }
            return state.turn
        }
        // Only now: the pool must be able to close the file from here on.
        pool.touched(self, isOpen: isOpen)
        if turn != .idle { enterLine(turn) }
    }

    private func requestScrub() {
        let isFirst = state.withLock { state in
            defer { state.awaitsScrub = true }
            return !state.awaitsScrub
        }
        if isFirst { pool.scrubLater(self) }
    }

    /// Takes what ended requests have left out of the write-ahead log: bodies may hold passwords and tokens. In the
    /// database itself SQLite overwrites them when their rows go. Called by a committer thread, which may block.
    func scrub() {
        let isFree = state.withLock { state in
            state.awaitsScrub = false
            guard state.turn != .running else { return false }
            state.turn = .running
            return true
        }
        guard isFree else { return requestScrub() }
        endTurn(isOpen: store.scrub())
    }

    /// Closes the file until its next use, unless it is in use.
    func releaseFile() {
        let idle = state.withLock { state in
            guard state.turn == .idle else { return false }
            state.turn = .running
            return true
        }
        guard idle else { return }
        store.close()
        let turn = state.withLock { state -> State.Turn in
            state.turn = state.pending.isEmpty ? .idle : .ready
            return state.turn
        }
        if turn == .ready { enterLine(.ready) }
    }
}
