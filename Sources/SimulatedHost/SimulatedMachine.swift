import DiskImages
import HostBackend
import JSONCodec
import Support
import Synchronization

/// One machine of a simulated host: its definition, its guest, and its end of the console.
///
/// Everything is behind one mutex that is held for a moment, never over an await: the host's primitives and the
/// reactor's thread both come in through ``update(_:)``, which lets the guest's time run up to now first and passes
/// on what happened afterwards. Lock order: machine, then reactor or event hub.
final class SimulatedMachine: Sendable {
    /// Where the machine stands in the host's inventory.
    enum Phase: String, Sendable {
        /// Defined, its file not written yet.
        case creating
        case realized
        /// Waits for its guest to arrive by live migration.
        case planned
        /// Its guest has arrived; a live migration still has to be finished here.
        case arrived
        /// Its guest has gone; only the leftovers are here.
        case departed
    }

    struct State {
        var phase: Phase
        var spec: MachineSpec
        var guest: Guest
        /// Sizes of its disks, in GB.
        var diskGB: Int
        /// Ties the two ends of a live migration together.
        var migration: String?
        /// The guest as it left, until the other host has it for sure.
        var departed: Guest?
        var destination: String?
        /// The guest went to a host of another process; nobody here can deliver it.
        var leftProcess = false
        /// What the guest did before it was stopped for a move that is not decided: its file says so still.
        var held: Guest.Power?
        /// The guest as it came from another process, not to run before the source's word.
        var incoming: Guest?
        /// Disks that came with it, which go with it when it is abandoned.
        var received: [String] = []

        var pipe: ConsolePipe?
        /// How many pipes there have been.
        var pipes: UInt64 = 0
        /// The reader, where it has given its pipe up for a silence.
        var resting: RestingReader?
        /// Whether the reactor reports room in the pipe.
        var awaitsRoom = false
        /// The wake-up that is asked for.
        var wake: UInt64?
        /// Nothing moves any more: the host gave up service or the machine is gone.
        var frozen = false

        /// Whether the machine is one of the host's, not one that comes or goes.
        var isInService: Bool { phase == .realized || phase == .arrived }
    }

    /// Nanoseconds until a pipe that could not be made is tried again.
    private static let pipeRetry: UInt64 = 1_000_000_000

    let uuid: InstanceUUID
    let incarnation: UInt64
    let token: UInt64
    let reactor: GuestReactor
    private let events: EventHub
    private let store: MachineStore
    private let state: Mutex<State>
    /// Held while the machine's file is written, on a file thread only; `true` once the file is removed for good.
    private let fileRemoved = Mutex(false)

    init(_ initial: State, incarnation: UInt64, reactor: GuestReactor, events: EventHub, store: MachineStore) {
        self.uuid = initial.spec.uuid
        self.incarnation = incarnation
        self.token = reactor.newToken()
        self.reactor = reactor
        self.events = events
        self.store = store
        self.state = Mutex(initial)
    }

    /// Lets the guest come up to the present, then does `body`, then passes on what happened.
    ///
    /// - Parameter savesLater: whether the machine's file is to be written soon if anything happened in `body`; what
    ///   the guest did by itself always is.
    @discardableResult
    func update<Result: Sendable>(
        savesLater: Bool = false,
        _ body: (inout State, _ now: UInt64) throws(BackendError) -> Result
    ) throws(BackendError) -> Result {
        var saves = false
        let result = state.withLock { state -> Swift.Result<Result, BackendError> in
            let now = reactor.clock.now
            if !state.frozen { state.guest.advance(to: now) }
            // What the guest did by itself is not in the machine's file yet.
            saves = !state.guest.happened.isEmpty
            defer {
                if savesLater { saves = saves || !state.guest.happened.isEmpty }
                settle(&state, now)
            }
            do throws(BackendError) {
                return .success(try body(&state, now))
            } catch {
                return .failure(error)
            }
        }
        if saves { saveLater() }
        return try result.get()
    }

    /// Looks without letting anything happen.
    func read<Result: Sendable>(_ body: (borrowing State, _ now: UInt64) -> Result) -> Result {
        state.withLock { body($0, reactor.clock.now) }
    }

    // MARK: Reactor

    /// A wake-up is due, or was asked for in vain.
    func timeHasCome() {
        _ = try? update { _, _ throws(BackendError) in }
    }

    /// The console has room, or its reader has gone.
    func consoleIsReady() {
        _ = try? update { state, _ throws(BackendError) in
            if state.pipe?.isAbandoned == true { state.loseReader() }
        }
    }

    /// Stops everything at once, and gives the console's reader the end of file: after what it has not read yet, or,
    /// when `takingBack`, at once, for the next worker's reader to get that.
    func freeze(takingBack: Bool = false) {
        state.withLock { state in
            state.frozen = true
            if takingBack { state.loseReader() }
            state.hangUp()
        }
    }

    // MARK: Console

    /// Opens the console for its one reader.
    func openConsole() throws(BackendError) -> ConsoleDescriptor {
        try update { state, _ throws(BackendError) in
            guard !state.frozen, state.guest.isConsoleUp || state.guest.output.count > 0 else {
                throw BackendError(.unavailable, "machine \(self.uuid) is not running")
            }
            guard state.resting == nil, state.pipe?.isAbandoned ?? true else {
                throw BackendError(.busy, "somebody reads the console of machine \(self.uuid)")
            }
            state.loseReader()
            return try self.openPipe(&state)
        }
    }

    private func openPipe(_ state: inout State) throws(BackendError) -> ConsoleDescriptor {
        let (pipe, reader) = try ConsolePipe.open(number: state.pipes + 1)
        state.pipes += 1
        state.pipe = pipe
        state.awaitsRoom = false
        reactor.watch(pipe.descriptor, token, forRoom: false, isNew: true)
        return ConsoleDescriptor(fileDescriptor: reader, silence: MachineSilence(machine: self, pipe: pipe.number))
    }

    /// The reader that gave up this pipe does not want another one.
    func forgetReader(of pipe: UInt64) {
        state.withLock { state in
            if state.resting?.pipe == pipe { state.resting = nil }
        }
    }

    // MARK: File

    /// Writes the machine's file and waits for it.
    func save(withConsole: Bool = false) async throws {
        try await store.work.run { _ in try self.writeFile(withConsole: withConsole) }
    }

    /// The same on the caller's thread, which may block.
    func saveNow() throws(BackendError) { try writeFile(withConsole: false) }

    private func saveLater() {
        store.work.submit {
            do { try self.writeFile(withConsole: false) } catch { self.store.report(error, self.uuid) }
        }
    }

    /// Removes the machine's file; it is never written again.
    func removeFile() async throws {
        try await store.work.run { _ in
            try self.fileRemoved.withLock { removed throws(BackendError) in
                removed = true
                try self.store.remove(self.uuid)
            }
        }
    }

    private func writeFile(withConsole: Bool) throws(BackendError) {
        try fileRemoved.withLock { removed throws(BackendError) in
            if removed { return }
            let record = state.withLock { state in
                // A frozen machine's last words were written when it was frozen.
                state.frozen && !withConsole ? nil : state.record(incarnation, reactor.clock, withConsole)
            }
            if let record { try store.write(uuid, record) }
        }
    }

    // MARK: - Passing on

    private func settle(_ state: inout State, _ now: UInt64) {
        for kind in state.guest.happened { events.post(uuid, incarnation, kind) }
        state.guest.happened.removeAll()
        guard !state.frozen else { return }
        pump(&state, now)
        guard let wake = state.guest.nextWake(at: now) else {
            state.wake = nil
            return
        }
        // An earlier wake-up that is already asked for leads here again.
        if let asked = state.wake, asked > now, asked <= wake { return }
        state.wake = wake
        reactor.wake(token, at: wake)
    }

    /// Gives the reader what it can take, at most 1 MiB at a time, so that no console keeps the others waiting.
    private func pump(_ state: inout State, _ now: UInt64) {
        if state.guest.power == .running { state.guest.output.fill() }
        if state.resting != nil { wakeReader(&state, now) }
        var budget = 1 << 20
        while let pipe = state.pipe {
            let room = min(budget, state.deliverable(pipe))
            if room == 0 {
                if state.mustHangUp(pipe) { return state.closePipe() }
                return awaitRoom(&state, budget == 0)
            }
            switch state.deliver(room) {
            case .written(let amount):
                budget -= amount
                state.guest.output.consume(amount)
                if state.guest.power == .running { state.guest.output.fill() }
            case .blocked: return awaitRoom(&state, true)
            case .closed: state.loseReader()
            }
        }
    }

    /// Gives a resting reader another pipe if there is something for it.
    private func wakeReader(_ state: inout State, _ now: UInt64) {
        guard state.guest.output.count > 0 else {
            if !state.guest.isConsoleUp { state.hangUp() }
            return
        }
        do throws(BackendError) {
            let next = try openPipe(&state)
            state.resting?.wake(next)
            state.resting = nil
        } catch {
            // The process is out of descriptors. What is printed waits, as it does for any reader that is slow.
            reactor.wake(token, at: now + Self.pipeRetry)
        }
    }

    private func awaitRoom(_ state: inout State, _ wanted: Bool) {
        guard let pipe = state.pipe, state.awaitsRoom != wanted else { return }
        state.awaitsRoom = wanted
        reactor.watch(pipe.descriptor, token, forRoom: wanted, isNew: false)
    }
}

extension SimulatedMachine.State {
    /// Takes back what the reader left unread.
    mutating func loseReader() {
        guard let pipe else { return }
        guest.output.putBack(pipe.takeUnread())
        closePipe()
    }

    mutating func closePipe() {
        pipe?.close()
        pipe = nil
        awaitsRoom = false
    }

    /// Lets the reader come to the end, also one that has given its pipe up.
    mutating func hangUp() {
        closePipe()
        resting?.wake(nil)
        resting = nil
    }

    /// How many bytes the present endpoint is to get now.
    fileprivate func deliverable(_ pipe: ConsolePipe) -> Int {
        let waiting = min(guest.output.count, 64 << 10)
        guard guest.behaviour.consoleMode == .disconnect else { return waiting }
        return min(waiting, max(0, guest.behaviour.disconnectBytes - pipe.delivered))
    }

    /// Whether the endpoint is at its end: everything is delivered and nothing will follow through it.
    fileprivate func mustHangUp(_ pipe: ConsolePipe) -> Bool {
        if guest.output.count == 0 { return !guest.isConsoleUp }
        return guest.behaviour.consoleMode == .disconnect && pipe.delivered >= guest.behaviour.disconnectBytes
    }

    fileprivate mutating func deliver(_ amount: Int) -> ConsolePipe.Outcome {
        guard var pipe else { return .closed }
        self.pipe = nil
        defer { self.pipe = pipe }
        return pipe.write(guest.output.waiting.prefix(amount))
    }
}
