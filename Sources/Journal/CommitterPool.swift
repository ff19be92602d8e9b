import DequeModule
import Dispatch
import Metrics
import Synchronization

/// The threads on which journals commit: a few for all journals of the process, started at first use.
///
/// A journal with something to commit is put in line once, however many operations it has; the next free thread commits
/// all of them in one transaction. One journal is never on two threads at a time. Files of journals that were not used
/// lately are closed, so that a thousand idle hosts cost neither descriptors nor page caches.
package final class CommitterPool: Sendable {
    /// The pool used by journals that are given no other.
    package static let shared = CommitterPool()

    private let core: Core

    /// - Parameters:
    ///   - threads: how many journals may commit at the same time.
    ///   - openFiles: how many journals may keep their files open while they have nothing to do.
    package init(threads: Int = 2, openFiles: Int = 128) {
        core = Core(threads: max(1, threads), openFiles: max(1, openFiles))
    }

    deinit { core.stop() }

    func ready(_ journal: Journal) throws { try core.ready(journal) }
    func lazy(_ journal: Journal) throws { try core.lazy(journal) }
    func scrubLater(_ journal: Journal) { core.scrubLater(journal) }
    func touched(_ journal: Journal, isOpen: Bool) { core.touched(journal, isOpen: isOpen) }
    var metrics: JournalMetrics { core.metrics }
}

/// Handles are made once: a thousand journals share them.
struct JournalMetrics: Sendable {
    let commits = Counter(label: "vmops_journal_commits_total")
    let operations = Counter(label: "vmops_journal_operations_total")
    let failures = Counter(label: "vmops_journal_failures_total")
    let duplicates = Counter(label: "vmops_journal_duplicates_total")
    let forgottenEarly = Counter(label: "vmops_journal_ids_forgotten_early_total")
    let commitTime = Metrics.Timer(label: "vmops_journal_commit_seconds")
}

/// What the threads hold on to; the pool itself is released when its last journal is.
private final class Core: Sendable {
    private struct State {
        var ready: Deque<Journal> = []
        var lazy: [Journal] = []
        /// When the journals in `lazy` have waited long enough.
        var lazyDeadline = DispatchTime.distantFuture
        /// Journals whose log holds bodies of ended requests.
        var scrubs: Deque<Journal> = []
        /// When the first of them is due.
        var scrubDeadline = DispatchTime.distantFuture
        var started = 0
        var stopped = false
        /// Open files by journal, with the time of their last use in commits.
        var open: [ObjectIdentifier: OpenFile] = [:]
        var clock: UInt64 = 0
    }

    private struct OpenFile {
        weak var journal: Journal?
        var lastUse: UInt64
    }

    /// How long a confirmation may wait for a commit to share.
    private static let patience = DispatchTimeInterval.milliseconds(100)
    /// How long the body of an ended request may stay in a log, so that one scrub serves many requests.
    private static let scrubDelay = DispatchTimeInterval.seconds(2)
    /// Scrubs in a row, and the pause after them: each costs the disk two flushes, and requests come first.
    private static let scrubsAtOnce = 4
    private static let scrubPause = DispatchTimeInterval.milliseconds(100)

    private let state = Mutex(State())
    private let work = DispatchSemaphore(value: 0)
    private let threads: Int
    private let openFiles: Int
    let metrics = JournalMetrics()

    init(threads: Int, openFiles: Int) {
        self.threads = threads
        self.openFiles = openFiles
    }

    func ready(_ journal: Journal) throws {
        try startThreads()
        state.withLock { $0.ready.append(journal) }
        work.signal()
    }

    func lazy(_ journal: Journal) throws {
        try startThreads()
        let wake = state.withLock { state in
            state.lazy.append(journal)
            if state.lazy.count == 1 { state.lazyDeadline = .now() + Self.patience }
            return state.lazy.count == 1
        }
        // A thread that waits without a limit has to learn that there is a limit now.
        if wake { work.signal() }
    }

    /// Puts a journal in line for ``Journal/scrub()``.
    func scrubLater(_ journal: Journal) {
        let wake = state.withLock { state in
            state.scrubs.append(journal)
            guard state.scrubDeadline == .distantFuture else { return false }
            state.scrubDeadline = .now() + Self.scrubDelay
            return true
        }
        if wake { work.signal() }
    }

    func stop() {
        let count = state.withLock { state in
            state.stopped = true
            return state.started
        }
        for _ in 0..<count { work.signal() }
    }

    /// Notes the use of a journal's file, and asks the longest unused one to close when too many are open.
    func touched(_ journal: Journal, isOpen: Bool) {
        let surplus = state.withLock { state -> Journal? in
            state.clock += 1
            guard isOpen else {
                state.open[ObjectIdentifier(journal)] = nil
                return nil
            }
            state.open[ObjectIdentifier(journal)] = OpenFile(journal: journal, lastUse: state.clock)
            guard state.open.count > openFiles, let oldest = state.open.min(by: { $0.value.lastUse < $1.value.lastUse })
            else { return nil }
            state.open[oldest.key] = nil
            return oldest.value.journal
        }
        surplus?.releaseFile()
    }

    private func startThreads() throws {
        let starts = state.withLock { state in
            guard state.started < threads, !state.stopped else { return false }
            state.started += 1
            return true
        }
        guard starts else { return }
        do {
            try CommitThread.start { [self] in run() }
        } catch {
            let none = state.withLock { state in
                state.started -= 1
                return state.started == 0
            }
            if none { throw error }
        }
    }

    private func run() {
        while true {
            _ = work.wait(timeout: state.withLock { min($0.lazyDeadline, $0.scrubDeadline) })
            let (journals, scrubs, stopped) = state.withLock { state -> ([Journal], [Journal], Bool) in
                var journals = state.ready.popFirst().map { [$0] } ?? []
                if state.stopped || DispatchTime.now() >= state.lazyDeadline {
                    journals += state.lazy
                    state.lazy.removeAll()
                    state.lazyDeadline = .distantFuture
                }
                return (journals, journals.isEmpty ? takeScrubs(&state) : [], state.stopped)
            }
            for journal in journals { journal.commitPending() }
            for journal in scrubs { journal.scrub() }
            if stopped && journals.isEmpty { return }
            if stopped { work.signal() }
        }
    }

    private func takeScrubs(_ state: inout State) -> [Journal] {
        guard DispatchTime.now() >= state.scrubDeadline else { return [] }
        let due = Array(state.scrubs.prefix(Self.scrubsAtOnce))
        state.scrubs.removeFirst(due.count)
        state.scrubDeadline = state.scrubs.isEmpty ? .distantFuture : .now() + Self.scrubPause
        return due
    }
}
