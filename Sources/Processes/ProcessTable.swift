import Support
import Synchronization

/// Who is watched, who waits for whom, and how the last children ended.
final class ProcessTable: Sendable {
    /// Names one call that waits.
    final class Waiter: Sendable, Hashable {
        /// Changes under the table's lock.
        fileprivate let isCancelled = Atomic(false)

        static func == (left: Waiter, right: Waiter) -> Bool { left === right }
        func hash(into hasher: inout Hasher) { hasher.combine(ObjectIdentifier(self)) }
    }

    enum Found {
        case watched
        case ended(ProcessEnd)
        case unheard
    }

    fileprivate typealias Wait = CheckedContinuation<ProcessEnd, Never>

    fileprivate struct State {
        var watches: [ProcessIdentity: ProcessWatch] = [:]
        var waits: [ProcessIdentity: [Waiter: Wait]] = [:]
        /// Reaped a moment ago, their waiters not told yet.
        var reaped: [ProcessIdentity: ProcessEnd] = [:]
        var ends: [ProcessIdentity: ProcessEnd] = [:]
        /// The order of `ends`, a ring once it is full.
        var order: [ProcessIdentity] = []
        var oldest = 0
    }

    private let state = Mutex(State())

    func lookUp(_ identity: ProcessIdentity) -> Found {
        state.withLock { state in
            if state.watches[identity] != nil { return .watched }
            if let end = state.reaped[identity] { return .ended(end) }
            return state.ends[identity].map { .ended($0) } ?? .unheard
        }
    }

    /// False if it is watched already.
    func insert(_ watch: ProcessWatch) -> Bool {
        state.withLock { state in
            guard state.watches[watch.identity] == nil else { return false }
            state.watches[watch.identity] = watch
            return true
        }
    }

    func signal(_ identity: ProcessIdentity, _ number: Int32) -> Bool {
        // Under the lock, so that the watch is not dropped and its descriptor's number given to another file.
        state.withLock { state in
            guard let watch = state.watches[identity] else { return false }
            watch.signal(number)
            return true
        }
    }

    /// Takes the end of a child without waiting; nobody signals it meanwhile, nor afterwards.
    func reap(_ identity: ProcessIdentity) -> ProcessEnd? {
        state.withLock { state in
            guard let end = Spawn.reap(identity.pid) else { return nil }
            state.watches[identity] = nil
            state.reaped[identity] = end
            return end
        }
    }

    func wait(_ waiter: Waiter, for identity: ProcessIdentity) async -> ProcessEnd {
        await withCheckedContinuation { continuation in
            let end = state.withLock { state -> ProcessEnd? in
                if waiter.isCancelled.load(ordering: .relaxed) { return .waitCancelled }
                guard state.watches[identity] != nil else {
                    return state.reaped[identity] ?? state.ends[identity] ?? .unknown
                }
                state.waits[identity, default: [:]][waiter] = continuation
                return nil
            }
            if let end { continuation.resume(returning: end) }
        }
    }

    func cancel(_ waiter: Waiter, for identity: ProcessIdentity) {
        let continuation = state.withLock { state -> Wait? in
            waiter.isCancelled.store(true, ordering: .relaxed)
            defer { state.remove(waiter, for: identity) }
            return state.waits[identity]?[waiter]
        }
        continuation?.resume(returning: .waitCancelled)
    }

    func ended(_ identity: ProcessIdentity, _ end: ProcessEnd, remembered: Bool) {
        let waits = state.withLock { state -> [Wait] in
            state.watches[identity] = nil
            state.reaped[identity] = nil
            if remembered { state.remember(identity, end) }
            return Array((state.waits.removeValue(forKey: identity) ?? [:]).values)
        }
        for continuation in waits { continuation.resume(returning: end) }
    }

    /// Forgets all watches; whoever waits is told that the wait is over.
    func takeAll() -> [ProcessWatch] {
        let (watches, waits) = state.withLock { state in
            defer { state = State() }
            return (Array(state.watches.values), state.waits.values.flatMap(\.values))
        }
        for continuation in waits { continuation.resume(returning: .waitCancelled) }
        return watches
    }
}

extension ProcessTable.State {
    fileprivate mutating func remove(_ waiter: ProcessTable.Waiter, for identity: ProcessIdentity) {
        waits[identity]?[waiter] = nil
        if waits[identity]?.isEmpty == true { waits[identity] = nil }
    }

    fileprivate mutating func remember(_ identity: ProcessIdentity, _ end: ProcessEnd) {
        ends[identity] = end
        if order.count < Processes.rememberedEnds {
            order.append(identity)
            return
        }
        ends[order[oldest]] = nil
        order[oldest] = identity
        oldest = (oldest + 1) % order.count
    }
}
