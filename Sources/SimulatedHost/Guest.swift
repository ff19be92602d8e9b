import HostBackend

/// A simulated guest: a value that time, its host and its console act upon. No I/O and no clock inside; `now` is
/// always given, in nanoseconds that do not go back.
///
/// The guest has a time of its own that runs only while it runs: everything it does by itself is due at a point of
/// that time, and so moves on by itself over pauses, a saved state and a move to another host.
struct Guest: Sendable {
    enum Power: String, Sendable {
        case off, running, paused, saved, error
    }

    /// The smallest time between two wake-ups for numbered lines; lines due in between are printed together.
    static let tickBundle: UInt64 = 10_000_000
    static let inputLimit = 1024

    let name: String
    let behaviour: GuestBehaviour
    var output: ConsoleOutput
    /// What happened and has not been reported yet, oldest first.
    var happened: [MachineEvent.Kind] = []

    private(set) var power: Power = .off
    /// Run time up to `runningSince`.
    private(set) var ranBefore: UInt64 = 0
    private(set) var runningSince: UInt64?
    /// Boots since the machine was defined.
    private(set) var boots: UInt64 = 0
    /// Numbered lines since boot.
    var ticks: UInt64 = 0
    /// The login prompt is out.
    private(set) var isReady = false
    /// Point of the guest's time at which it will be off.
    private(set) var shutdownAt: UInt64?
    /// Shutdown requests that were answered "not ready" since the machine was defined.
    private(set) var refusals = 0
    var inputLine: [UInt8] = []
    /// Typed while the guest was paused, at most ``inputLimit`` bytes.
    var typedAhead: [UInt8] = []

    init(name: String, behaviour: GuestBehaviour, bufferLimit: Int) {
        self.name = name
        self.behaviour = behaviour
        self.output = ConsoleOutput(limit: bufferLimit)
    }

    var machineState: MachineState {
        switch power {
        case .off: .off
        case .running: .running
        case .paused: .paused
        case .saved: .saved
        case .error: .error
        }
    }

    /// Whether the serial line is up; without it the console's end of file follows the last byte.
    var isConsoleUp: Bool { power == .running || power == .paused }

    func uptime(at now: UInt64) -> UInt64 {
        ranBefore + (runningSince.map { now > $0 ? now - $0 : 0 } ?? 0)
    }

    // MARK: What the host does

    mutating func powerOn(at now: UInt64) {
        switch power {
        case .running: return
        case .off, .error:
            boot(at: now)
            happened.append(.started)
        case .paused, .saved:
            power = .running
            runningSince = now
            happened.append(.resumed)
            let typed = typedAhead
            typedAhead = []
            type(typed, at: now)
        }
    }

    mutating func powerOff(at now: UInt64, _ reason: MachineEvent.StopReason) {
        guard power != .off else { return }
        stop(at: now, .off)
        happened.append(.stopped(reason))
    }

    mutating func pause(at now: UInt64) {
        guard power == .running else { return }
        stand(at: now, .paused)
        happened.append(.paused)
    }

    mutating func save(at now: UInt64) {
        guard isConsoleUp else { return }
        stand(at: now, .saved)
        happened.append(.saved)
    }

    mutating func reset(at now: UInt64) {
        guard isConsoleUp else { return }
        output.cutOff()
        boot(at: now)
    }

    mutating func requestShutdown(at now: UInt64) -> ShutdownAnswer {
        guard isReady else { return .notReady }
        switch behaviour.shutdown {
        case .unsupported: return .unsupported
        case .ignores: return .accepted
        case .notReady(let count):
            refusals += 1
            guard let count, refusals > count else { return .notReady }
        case .obeys: break
        }
        if shutdownAt == nil { shutdownAt = uptime(at: now) + behaviour.shutdownMilliseconds * 1_000_000 }
        return .accepted
    }

    /// Stands still for a moment without anybody noticing, as the guest does at the switch-over of a live migration.
    ///
    /// - Returns: the guest as it goes on elsewhere, with everything it has still to print; ``release(at:)`` lets it
    ///   go on here instead.
    mutating func hold(at now: UInt64) -> Guest {
        var traveller = self
        traveller.stand(at: now, power)
        traveller.happened = []
        traveller.output = ConsoleOutput(limit: output.limit)
        traveller.output.take(generators: output.generators, isAtLineStart: output.isAtLineStart)
        stand(at: now, .paused)
        return traveller
    }

    mutating func release(at now: UInt64, _ power: Power) {
        self.power = power
        if power == .running { runningSince = now }
    }

    /// The guest has gone elsewhere; what it printed here is still delivered here.
    mutating func leave(at now: UInt64) {
        stop(at: now, .off)
        happened.append(.migratedOut)
    }

    /// Goes on at this host.
    mutating func arrive(at now: UInt64) {
        if power == .running { runningSince = now }
        happened.append(.migratedIn)
    }

    // MARK: Time

    /// Lets everything happen that is due by now, in its order.
    mutating func advance(to now: UInt64) {
        while power == .running {
            let time = uptime(at: now)
            guard let next = scheduled(), next.at <= time else {
                printTicks(until: time)
                return
            }
            printTicks(until: next.at)
            perform(next.step, at: now)
        }
    }

    /// When ``advance(to:)`` is needed next; `nil` = never, unless something else happens.
    func nextWake(at now: UInt64) -> UInt64? {
        guard power == .running else { return nil }
        let time = uptime(at: now)
        let step = scheduled().map { now + ($0.at > time ? $0.at - time : 0) }
        let tick = nextTick().map { now + max($0 > time ? $0 - time : 0, Self.tickBundle) }
        return switch (step, tick) {
        case (let step?, let tick?): min(step, tick)
        case (let step, let tick): step ?? tick
        }
    }

    private enum Step { case ready, shutdown, crash, powerOff, reboot }

    /// What the guest does next by itself, lines apart.
    private func scheduled() -> (at: UInt64, step: Step)? {
        var next: (at: UInt64, step: Step)?
        func consider(_ at: UInt64?, _ step: Step) {
            if let at, next.map({ at < $0.at }) ?? true { next = (at, step) }
        }
        if !isReady { consider(behaviour.bootMilliseconds * 1_000_000, .ready) }
        consider(shutdownAt, .shutdown)
        consider(behaviour.crashAfterMilliseconds.map { $0 * 1_000_000 }, .crash)
        consider(behaviour.poweroffAfterMilliseconds.map { $0 * 1_000_000 }, .powerOff)
        consider(behaviour.rebootAfterMilliseconds.map { max($0, 1) * 1_000_000 }, .reboot)
        return next
    }

    private mutating func perform(_ step: Step, at now: UInt64) {
        switch step {
        case .ready: becomeReady()
        case .shutdown: finishShutdown(at: now)
        case .crash: crash(at: now)
        case .powerOff: guestPowerOff(at: now)
        case .reboot: guestReboot(at: now)
        }
    }

    // MARK: What the guest does

    mutating func crash(at now: UInt64) {
        printNow("Kernel panic - not syncing: simulated crash\n")
        stop(at: now, .error)
        happened.append(.crashed)
    }

    mutating func guestPowerOff(at now: UInt64) {
        printNow("reboot: Power down\n")
        stop(at: now, .off)
        happened.append(.stopped(.guest))
    }

    mutating func guestReboot(at now: UInt64) {
        printNow("reboot: Restarting system\n")
        output.cutOff()
        boot(at: now)
        happened.append(.rebooted)
    }

    private mutating func finishShutdown(at now: UInt64) {
        printNow("Stopping services\nUnmounting file systems\nreboot: Power down\n")
        stop(at: now, .off)
        happened.append(.stopped(.requested))
    }

    private mutating func boot(at now: UInt64) {
        power = .running
        boots += 1
        ranBefore = 0
        runningSince = now
        ticks = 0
        isReady = false
        shutdownAt = nil
        inputLine = []
        printBootLog()
        if behaviour.bootMilliseconds == 0 { becomeReady() }
    }

    private mutating func becomeReady() {
        isReady = true
        printPrompt()
        if behaviour.consoleMode == .flood { output.enqueue(.flood(next: ticks + 1, length: behaviour.lineBytes)) }
    }

    /// Keeps the memory, stops the time.
    private mutating func stand(at now: UInt64, _ next: Power) {
        ranBefore = uptime(at: now)
        runningSince = nil
        power = next
    }

    /// Loses the memory.
    private mutating func stop(at now: UInt64, _ next: Power) {
        stand(at: now, next)
        output.cutOff()
        shutdownAt = nil
        isReady = false
        inputLine = []
        typedAhead = []
    }

    // MARK: Restoring

    /// Sets the parts that are written down; see `Guest+Record.swift`.
    mutating func restore(
        power: Power,
        ranBefore: UInt64,
        runningSince: UInt64?,
        boots: UInt64,
        isReady: Bool,
        shutdownAt: UInt64?,
        refusals: Int
    ) {
        self.power = power
        self.ranBefore = ranBefore
        self.runningSince = runningSince
        self.boots = boots
        self.isReady = isReady
        self.shutdownAt = shutdownAt
        self.refusals = refusals
    }
}
