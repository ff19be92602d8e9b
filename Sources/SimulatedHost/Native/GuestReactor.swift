import CSystemShims
import Glibc
import HostBackend
import Synchronization
import SystemPackage

/// The one thread on which all guests of a world live by themselves: timers, and consoles that can take more output.
///
/// While no timer is due and no console waits for room, the thread sleeps without a wake-up, however many guests
/// there are. Machines, timers and sleepers are behind one mutex; machines are called without it. With a manual clock
/// the thread serves consoles only, and ``advance(to:)`` fires the timers on the caller's thread.
final class GuestReactor: Sendable {
    private enum Target {
        case machine(UInt64)
        case sleeper(UInt64)
    }

    private struct State {
        var timers = TimerHeap<Target>()
        var machines: [UInt64: SimulatedMachine] = [:]
        var sleepers: [UInt64: CheckedContinuation<Void, any Error>] = [:]
        var cancelledEarly: Set<UInt64> = []
        /// Tests waiting for that many sleepers.
        var watchers: [(id: UInt64, count: Int, continuation: CheckedContinuation<Void, Never>)] = []
        var nextToken: UInt64 = 1
        var stopping = false
    }

    private static let eventToken: UInt64 = 0

    let clock: SimulatedClock
    private let state = Mutex(State())
    /// How often the thread woke up.
    private let turns = Atomic<Int>(0)
    private let epoll: Int32
    private let wakeUp: Int32

    /// Starts the thread; ``stop()`` ends it and closes the descriptors.
    init(clock: SimulatedClock) throws(BackendError) {
        self.clock = clock
        epoll = epoll_create1(Int32(EPOLL_CLOEXEC))
        wakeUp = eventfd(0, Int32(EFD_CLOEXEC | EFD_NONBLOCK))
        guard epoll >= 0, wakeUp >= 0 else {
            throw BackendError(.resourceExhausted, "the simulated guests need two descriptors")
        }
        control(EPOLL_CTL_ADD, wakeUp, EPOLLIN.rawValue, Self.eventToken)
        try startThread()
    }

    /// Ends the thread. Machines and sleepers are forgotten, sleepers with `CancellationError`.
    func stop() {
        state.withLock { $0.stopping = true }
        signal()
    }

    var wakeUps: Int { turns.load(ordering: .relaxed) }

    /// Timers that are set, stale ones included.
    var timers: Int { state.withLock { $0.timers.count } }

    // MARK: Machines

    func newToken() -> UInt64 {
        state.withLock { state in
            state.nextToken += 1
            return state.nextToken
        }
    }

    func add(_ machine: SimulatedMachine) {
        state.withLock { $0.machines[machine.token] = machine }
    }

    func remove(_ token: UInt64) {
        _ = state.withLock { $0.machines.removeValue(forKey: token) }
    }

    /// Has the machine woken at `deadline`; earlier requests of it stay, and wake it in vain.
    func wake(_ token: UInt64, at deadline: UInt64) {
        let isEarliest = state.withLock { state in
            let earliest = state.timers.earliest
            state.timers.insert(.machine(token), at: deadline)
            return earliest.map { deadline < $0 } ?? true
        }
        if isEarliest, !clock.isManual { signal() }
    }

    // MARK: Consoles

    /// Watches a console's writing end: always for its reader's closing, for room when `forRoom`.
    func watch(_ descriptor: Int32, _ token: UInt64, forRoom: Bool, isNew: Bool) {
        control(isNew ? EPOLL_CTL_ADD : EPOLL_CTL_MOD, descriptor, forRoom ? EPOLLOUT.rawValue : 0, token)
    }

    // MARK: Sleeping

    /// Waits by the guests' clock. Throws `CancellationError`.
    func sleep(_ nanoseconds: UInt64) async throws {
        if nanoseconds == 0 { return try Task.checkCancellation() }
        let id = newToken()
        try await withTaskCancellationHandler {
            try await withCheckedThrowingContinuation { continuation in
                let deadline = clock.now + nanoseconds
                let (asleep, reached) = state.withLock { state in
                    if state.stopping || state.cancelledEarly.remove(id) != nil {
                        return (false, [CheckedContinuation<Void, Never>]())
                    }
                    state.sleepers[id] = continuation
                    state.timers.insert(.sleeper(id), at: deadline)
                    return (true, Self.takeWatchers(&state))
                }
                if !asleep { return continuation.resume(throwing: CancellationError()) }
                for watcher in reached { watcher.resume() }
                if !clock.isManual { signal() }
            }
        } onCancel: {
            let sleeper = state.withLock { state in
                let sleeper = state.sleepers.removeValue(forKey: id)
                if sleeper == nil { state.cancelledEarly.insert(id) }
                return sleeper
            }
            sleeper?.resume(throwing: CancellationError())
        }
        state.withLock { _ = $0.cancelledEarly.remove(id) }
    }

    /// Returns once at least `count` calls of ``sleep(_:)`` wait, or when the caller is cancelled.
    func untilSleeping(_ count: Int) async {
        let id = newToken()
        await withTaskCancellationHandler {
            await withCheckedContinuation { (continuation: CheckedContinuation<Void, Never>) in
                let reached = state.withLock { state in
                    if state.stopping || state.cancelledEarly.remove(id) != nil { return [continuation] }
                    state.watchers.append((id, count, continuation))
                    return Self.takeWatchers(&state)
                }
                for watcher in reached { watcher.resume() }
            }
        } onCancel: {
            let watcher = state.withLock { state -> CheckedContinuation<Void, Never>? in
                guard let place = state.watchers.firstIndex(where: { $0.id == id }) else {
                    state.cancelledEarly.insert(id)
                    return nil
                }
                return state.watchers.remove(at: place).continuation
            }
            watcher?.resume()
        }
        state.withLock { _ = $0.cancelledEarly.remove(id) }
    }

    private static func takeWatchers(_ state: inout State) -> [CheckedContinuation<Void, Never>] {
        let count = state.sleepers.count
        let reached = state.watchers.filter { $0.count <= count }
        state.watchers.removeAll { $0.count <= count }
        return reached.map(\.continuation)
    }

    // MARK: Time

    /// Moves a manual clock, firing every timer at its own time.
    func advance(to time: UInt64) {
        while let next = state.withLock({ $0.timers.earliest }), next <= time {
            clock.set(next)
            fireDue()
        }
        clock.set(time)
    }

    private func fireDue() {
        let now = clock.now
        while true {
            let due = state.withLock { state -> (SimulatedMachine?, CheckedContinuation<Void, any Error>?)? in
                guard let target = state.timers.popDue(at: now) else { return nil }
                return switch target {
                case .machine(let token): (state.machines[token], nil)
                case .sleeper(let id): (nil, state.sleepers.removeValue(forKey: id))
                }
            }
            guard let due else { return }
            due.0?.timeHasCome()
            due.1?.resume()
        }
    }

    // MARK: - The thread

    private func startThread() throws(BackendError) {
        var thread = pthread_t()
        // The thread owns one reference to this object, released when `run` returns.
        let context = Unmanaged.passRetained(self)
        let result = pthread_create(&thread, nil, Self.main, context.toOpaque())
        guard result == 0 else {
            context.release()
            closeDescriptors()
            throw BackendError(.resourceExhausted, "no thread for the simulated guests: \(Errno(rawValue: result))")
        }
        pthread_detach(thread)
    }

    private static let main: @convention(c) (UnsafeMutableRawPointer?) -> UnsafeMutableRawPointer? = { context in
        pthread_setname_np(pthread_self(), "sim-guests")
        // `startThread` passed a retained reference, and nothing else is ever passed.
        if let context { Unmanaged<GuestReactor>.fromOpaque(context).takeRetainedValue().run() }
        return nil
    }

    private func run() {
        var events = [epoll_event](repeating: epoll_event(), count: 256)
        while !state.withLock({ $0.stopping }) {
            let count = events.withUnsafeMutableBufferPointer { buffer in
                epoll_wait(epoll, buffer.baseAddress, Int32(buffer.count), pause())
            }
            turns.add(1, ordering: .relaxed)
            for event in events.prefix(Int(max(count, 0))) {
                if event.data.u64 == Self.eventToken {
                    drainSignal()
                } else if let machine = state.withLock({ $0.machines[event.data.u64] }) {
                    machine.consoleIsReady()
                }
            }
            if !clock.isManual { fireDue() }
        }
        let left = state.withLock { state in
            defer {
                state.machines.removeAll()
                state.timers.removeAll()
                state.sleepers.removeAll()
                state.watchers.removeAll()
            }
            return (Array(state.machines.values), Array(state.sleepers.values), state.watchers.map(\.continuation))
        }
        for machine in left.0 { machine.freeze() }
        for sleeper in left.1 { sleeper.resume(throwing: CancellationError()) }
        for watcher in left.2 { watcher.resume() }
        closeDescriptors()
    }

    /// Milliseconds until the next timer, rounded up.
    private func pause() -> Int32 {
        guard !clock.isManual, let next = state.withLock({ $0.timers.earliest }) else { return -1 }
        let now = clock.now
        guard next > now else { return 0 }
        return Int32(clamping: (next - now + 999_999) / 1_000_000)
    }

    private func signal() {
        var one: UInt64 = 1
        _ = write(wakeUp, &one, 8)
    }

    private func drainSignal() {
        var count: UInt64 = 0
        _ = read(wakeUp, &count, 8)
    }

    private func control(_ operation: Int32, _ descriptor: Int32, _ events: UInt32, _ token: UInt64) {
        var event = epoll_event()
        event.events = events
        event.data.u64 = token
        epoll_ctl(epoll, operation, descriptor, &event)
    }

    private func closeDescriptors() {
        close(epoll)
        close(wakeUp)
    }
}
