import DequeModule
import Glibc
import Synchronization

/// A few threads for calls that block, like writes to a disk. Work is given to it in ``ReactorStrand``s.
///
/// The queue holds a strand at most once, so it is bounded by the number of strands. Threads end when the pool's last
/// holder lets go of it; strands that are queued then are still run.
package final class ReactorPool: Sendable {
    fileprivate let queue: BlockingQueue

    /// Starts `threads` threads, which sleep until there is work.
    package init(name: String, threads: Int) throws(SystemCallError) {
        let queue = BlockingQueue()
        self.queue = queue
        for number in 0..<max(1, threads) {
            try ReactorThread.start(name: "\(name)-\(number)") {
                while let strand = queue.next() { strand.runSome() }
            }
        }
    }

    deinit { queue.finish() }
}

/// A queue of bodies that run one at a time, in order, on a pool's threads.
///
/// After ``burst`` bodies the strand goes to the pool's end, so that none keeps a thread for itself. The number of
/// waiting bodies is bounded by whoever submits.
package final class ReactorStrand: Sendable {
    private struct State {
        var bodies: Deque<@Sendable () -> Void> = []
        var queued = false
    }

    private static let burst = 4

    private let pool: ReactorPool
    private let state = Mutex(State())

    package init(_ pool: ReactorPool) { self.pool = pool }

    /// Appends `body`; callable from any thread, never blocks.
    package func submit(_ body: @escaping @Sendable () -> Void) {
        let isNew = state.withLock { state in
            state.bodies.append(body)
            defer { state.queued = true }
            return !state.queued
        }
        if isNew { pool.queue.append(self) }
    }

    fileprivate func runSome() {
        for _ in 0..<Self.burst {
            let body = state.withLock { state -> (@Sendable () -> Void)? in
                let next = state.bodies.popFirst()
                if next == nil { state.queued = false }
                return next
            }
            guard let body else { return }
            body()
        }
        let more = state.withLock { state in
            state.queued = !state.bodies.isEmpty
            return state.queued
        }
        if more { pool.queue.append(self) }
    }
}

/// A queue whose readers sleep on a condition variable.
///
/// `@unchecked Sendable`: the C objects need a fixed address, so they are allocated once; `strands` and `finished` are
/// touched only with `mutex` held.
private final class BlockingQueue: @unchecked Sendable {
    private let mutex = UnsafeMutablePointer<pthread_mutex_t>.allocate(capacity: 1)
    private let condition = UnsafeMutablePointer<pthread_cond_t>.allocate(capacity: 1)
    private var strands: Deque<ReactorStrand> = []
    private var sleeping = 0
    private var finished = false

    init() {
        mutex.initialize(to: pthread_mutex_t())
        condition.initialize(to: pthread_cond_t())
        pthread_mutex_init(mutex, nil)
        pthread_cond_init(condition, nil)
    }

    deinit {
        pthread_cond_destroy(condition)
        pthread_mutex_destroy(mutex)
        condition.deallocate()
        mutex.deallocate()
    }

    func append(_ strand: ReactorStrand) {
        pthread_mutex_lock(mutex)
        strands.append(strand)
        if sleeping > 0 { pthread_cond_signal(condition) }
        pthread_mutex_unlock(mutex)
    }

    /// The next strand; `nil` once finished and empty.
    func next() -> ReactorStrand? {
        pthread_mutex_lock(mutex)
        defer { pthread_mutex_unlock(mutex) }
        while strands.isEmpty && !finished {
            sleeping += 1
            pthread_cond_wait(condition, mutex)
            sleeping -= 1
        }
        return strands.popFirst()
    }

    func finish() {
        pthread_mutex_lock(mutex)
        finished = true
        pthread_cond_broadcast(condition)
        pthread_mutex_unlock(mutex)
    }
}
