import Glibc
import Support
import Synchronization

/// One machine's log: the buffer in memory and the segments on disk, joined by a strand of the writer pool.
///
/// All file calls happen on the strand, so reading never meets a rotation half done, and nothing here blocks a caller.
/// Bytes of a pipe go straight into the segments. Others are written at the flush interval, at 64 KiB, and before
/// anything is read. When writing fails the bytes stay in the buffer, which drops the oldest once full, and the writing
/// is repeated every `reconnectMax`.
final class ConsoleLog: Sendable {
    struct Progress: Sendable {
        var range: Range<Int64> = 0..<0
        var bytesWritten: Int64 = 0
        var rotations: Int64 = 0
        var failure: SystemCallError?
    }

    private struct Follower {
        let number: UInt64
        let offset: Int64
        let signal: ConsoleSignal
    }

    private struct State {
        var settings: ConsoleSettings
        var progress = Progress()
        var flushIsQueued = false
        var retryIsPlanned = false
        var followers: [Follower] = []
        var nextFollower: UInt64 = 0
        var reported = ConsoleBuffer.Counters()
        var source: DescriptorReader?
        /// A timer is set for the end of a silence.
        var isWatched = false
    }

    /// What came of moving a pipe's bytes.
    enum Taken: Sendable {
        case moved(PipeState)
        /// The log cannot be written now, or older bytes wait for it in memory.
        case busy
        /// This file system takes no bytes from a pipe.
        case impossible
    }

    /// Bytes after which the strand lets others have the thread.
    private static let turnBytes = 1024 * 1024

    let directory: String
    let buffer: ConsoleBuffer
    private let engine: ConsoleEngine
    private let metrics: ConsoleMetrics
    private let strand: ReactorStrand
    // Locked by the strand's bodies only, so nobody ever waits for it.
    private let store: Mutex<SegmentStore>
    private let state: Mutex<State>

    init(
        directory: String,
        settings: ConsoleSettings,
        engine: ConsoleEngine,
        metrics: ConsoleMetrics,
        probe: (@Sendable (SegmentStore.Step) throws(SystemCallError) -> Void)? = nil
    ) {
        self.directory = directory
        self.engine = engine
        self.metrics = metrics
        buffer = ConsoleBuffer(pool: engine.blocks, limit: settings.ringBytes)
        strand = ReactorStrand(engine.pool)
        store = Mutex(SegmentStore(directory: directory, limits: settings.limits, probe: probe))
        state = Mutex(State(settings: settings))
    }

    var settings: ConsoleSettings { state.withLock { $0.settings } }

    var progress: Progress { state.withLock { $0.progress } }

    /// New caps are obeyed from the next write on.
    func apply(_ settings: ConsoleSettings) {
        state.withLock { $0.settings = settings }
        buffer.setLimit(settings.ringBytes)
        strand.submit { self.store.withLock { $0.limits = settings.limits } }
    }

    // MARK: - Writing

    /// Does what the buffer asked for after bytes were published.
    func meet(_ need: ConsoleBuffer.Need) {
        switch need {
        case .nothing: return
        case .flushNow: requestFlush()
        case .flushLater:
            engine.reactor.schedule(after: settings.flushInterval) {
                self.buffer.flushComes()
                self.requestFlush()
            }
        }
    }

    /// The reader found the buffer full: sees to it that this does not last longer than the stall limit.
    func limitStall() {
        if buffer.stallNeedsTimer() { timeStall(settings.stallLimit) }
    }

    private func timeStall(_ delay: Duration) {
        engine.reactor.schedule(after: delay) {
            if let again = self.buffer.stallTimerComes(limit: self.settings.stallLimit) { self.timeStall(again) }
        }
    }

    func mark(_ kind: ConsoleMarkKind) {
        buffer.mark(kind)
        requestFlush()
    }

    func requestFlush() {
        let isNew = state.withLock { state in
            defer { state.flushIsQueued = true }
            return !state.flushIsQueued
        }
        if isNew { strand.submit { self.store.withLock { self.flush(&$0, retrying: false) } } }
    }

    private func flush(_ store: inout SegmentStore, retrying: Bool) {
        let mayWrite = state.withLock { state in
            state.flushIsQueued = false
            return retrying || state.progress.failure == nil
        }
        guard mayWrite else { return }
        var written = 0
        var failure: SystemCallError?
        while failure == nil, written < Self.turnBytes, let item = buffer.take() {
            do throws(SystemCallError) {
                written += try write(item, &store)
            } catch {
                failure = error
            }
        }
        report(store, written: written, failure: failure)
        if failure == nil, written >= Self.turnBytes { requestFlush() }
    }

    private func write(_ item: ConsoleBuffer.Item, _ store: inout SegmentStore) throws(SystemCallError) -> Int {
        switch item {
        case .data(var slice):
            let count = slice.count
            do throws(SystemCallError) {
                try store.append(&slice)
            } catch {
                buffer.written(count - slice.count)
                buffer.putBack(.data(slice))
                throw error
            }
            buffer.written(count)
            return count
        case .mark(let kind, let time):
            try write(mark: kind, time: time, dropped: 0, item, &store)
        case .gap(let dropped, let time):
            try write(mark: .gap, time: time, dropped: dropped, item, &store)
        }
        return 0
    }

    /// A mark that the disk has no room for waits, to stay in its place; with any other trouble the index does without.
    private func write(
        mark kind: ConsoleMarkKind,
        time: Int64,
        dropped: Int64,
        _ item: ConsoleBuffer.Item,
        _ store: inout SegmentStore
    ) throws(SystemCallError) {
        do throws(SystemCallError) {
            try store.mark(kind, time: time, dropped: dropped)
        } catch {
            guard error.isOutOfSpace else { return }
            buffer.putBack(item)
            throw error
        }
    }

    /// Tells everybody how far the disk is.
    private func report(_ store: SegmentStore, written: Int, failure: SystemCallError?) {
        let counters = buffer.counters
        let isOpen = store.isOpen
        let (before, rotated, ready, retryAfter, isUnwatched) = state.withLock { state in
            let before = state.reported
            let rotated = store.rotations - state.progress.rotations
            state.reported = counters
            state.progress.bytesWritten += Int64(written)
            state.progress.rotations = store.rotations
            state.progress.failure = failure
            if store.isLoaded { state.progress.range = store.retained }
            let end = state.progress.range.upperBound
            let ready = state.followers.filter { $0.offset < end }
            state.followers.removeAll { $0.offset < end }
            let retry = failure != nil && !state.retryIsPlanned
            if retry { state.retryIsPlanned = true }
            return (before, rotated, ready, retry ? state.settings.reconnectMax : nil, isOpen && !state.isWatched)
        }
        if isUnwatched { awaitSilence() }
        for follower in ready { follower.signal.set() }
        metrics.captured(bytes: counters.bytesIn - before.bytesIn, dropped: counters.dropped - before.dropped)
        metrics.wrote(bytes: written, rotations: rotated)
        if let retryAfter {
            engine.reactor.schedule(after: retryAfter) {
                self.strand.submit {
                    self.state.withLock { $0.retryIsPlanned = false }
                    self.store.withLock { self.flush(&$0, retrying: true) }
                }
            }
        }
    }

    // MARK: - Pipes

    /// Whether a pipe's bytes may go straight into the segments: nothing older waits in memory.
    var isClear: Bool { progress.failure == nil && buffer.counters.held == 0 }

    /// Moves what the reader's pipe holds into the segments, on the strand; `then` runs there too, with the number of
    /// bytes, unless the reader has come to its end meanwhile.
    func take(from reader: DescriptorReader, then: @escaping @Sendable (Int, Taken) -> Void) {
        strand.submit {
            // Closed on this strand, so it stays open for as long as this body runs.
            guard let pipe = reader.directPipe else {
                // The one before it found that the log cannot be written.
                if !reader.isOver { then(0, .busy) }
                return
            }
            let (moved, taken) = self.store.withLock { self.take(pipe, &$0) }
            then(moved, taken)
        }
    }

    private func take(_ pipe: ReactorPipe, _ store: inout SegmentStore) -> (Int, Taken) {
        if !buffer.isEmpty { flush(&store, retrying: false) }
        guard isClear else { return (0, .busy) }
        var moved = 0
        var taken = Taken.busy
        var failure: SystemCallError?
        do throws(SystemCallError) {
            taken = .moved(try store.take(pipe, limit: Self.turnBytes, moved: &moved))
        } catch {
            if error.call == "splice", error.number == EINVAL { taken = .impossible } else { failure = error }
        }
        if moved > 0 { buffer.passed(moved, time: WallClock.nanoseconds) }
        if moved > 0 || failure != nil { report(store, written: moved, failure: failure) }
        return (moved, taken)
    }

    /// Names the reader whose pipe has bytes that belong to whatever is read from the log; `nil` for none any more.
    func attach(_ source: DescriptorReader?) {
        state.withLock { $0.source = source }
        if source != nil { awaitSilence() }
    }

    /// Takes what the reader's pipe holds at this moment.
    private func pull(_ store: inout SegmentStore) {
        guard let source = state.withLock({ $0.source }), let pipe = source.directPipe else { return }
        source.took(take(pipe, &store).0)
    }

    /// Runs `body` on the strand.
    func submit(_ body: @escaping @Sendable () -> Void) { strand.submit(body) }

    // MARK: - Silence

    /// Sees to it that the file is closed, and the reader's descriptor given up, once nothing comes any more. One timer
    /// for as long as there is output; none afterwards.
    func awaitSilence() {
        let (delay, written) = state.withLock { state in
            let delay = state.isWatched ? nil : state.settings.restAfter
            state.isWatched = true
            return (delay, state.progress.bytesWritten)
        }
        if let delay { lookForSilence(after: delay, written) }
    }

    private func lookForSilence(after delay: Duration, _ before: Int64) {
        engine.reactor.schedule(after: delay) { [weak self] in
            guard let self else { return }
            let written = self.state.withLock { state in
                if state.progress.bytesWritten == before { state.isWatched = false }
                return state.progress.bytesWritten
            }
            guard written == before else { return self.lookForSilence(after: delay, written) }
            self.strand.submit {
                self.store.withLock { $0.rest() }
                self.state.withLock { $0.source }?.rest()
            }
        }
    }

    // MARK: - Work on the files

    /// Writes what waits, then runs `body` on the strand. Not cancellable: file calls are not.
    func perform<Result: Sendable>(
        _ body: @escaping @Sendable (inout SegmentStore) throws -> Result
    ) async throws -> Result {
        try await withCheckedThrowingContinuation { continuation in
            strand.submit {
                continuation.resume(
                    with: Swift.Result {
                        try self.store.withLock { store in
                            self.flush(&store, retrying: false)
                            self.pull(&store)
                            defer { self.learn(store) }
                            return try body(&store)
                        }
                    }
                )
            }
        }
    }

    /// Learns what the log's range is, for the status of one that is captured and has not printed yet.
    func look() {
        strand.submit {
            self.store.withLock { store in
                try? store.load()
                self.learn(store)
            }
        }
    }

    private func learn(_ store: SegmentStore) {
        guard store.isLoaded else { return }
        state.withLock { $0.progress.range = store.retained }
    }

    /// Writes what waits, the last time: what cannot be written now is dropped and counted. Closes the file.
    func finish() async {
        _ = try? await perform { store in
            while self.buffer.counters.held > 0 {
                self.flush(&store, retrying: true)
                if self.progress.failure != nil { break }
            }
            if self.progress.failure != nil {
                self.buffer.dropAll()
                self.report(store, written: 0, failure: self.progress.failure)
            }
            store.forget()
        }
    }

    // MARK: - Followers

    /// Returns when more than `offset` bytes are on disk, or after `limit`, or when cancelled.
    func wait(beyond offset: Int64, limit: Duration) async {
        let signal = ConsoleSignal()
        let number = state.withLock { state -> UInt64? in
            guard state.progress.range.upperBound <= offset else { return nil }
            state.nextFollower += 1
            state.followers.append(Follower(number: state.nextFollower, offset: offset, signal: signal))
            return state.nextFollower
        }
        guard let number else { return }
        await signal.wait(limit: limit)
        state.withLock { state in state.followers.removeAll { $0.number == number } }
    }
}

extension SystemCallError {
    fileprivate var isOutOfSpace: Bool { [ENOSPC, EDQUOT, EIO].contains(number) }
}
