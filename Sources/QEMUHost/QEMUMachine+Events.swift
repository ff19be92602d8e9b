import HostBackend
import Logging
import Processes
import QMP
import Support

/// What guests and QEMU do by themselves.
extension QEMUMachine {
    /// Pauses between two attempts to get back to a monitor.
    private static let reconnectPauses: [Duration] = [.seconds(1), .seconds(2), .seconds(5), .seconds(15)]

    /// How long a reader has for what the guest printed last, before QEMU is let go.
    private static let lastWordsTime = Duration.milliseconds(500)

    /// Follows the process until it ends, and its events as long as there is a session.
    func watch(_ process: ProcessIdentity) {
        state.withLock { state in
            if state.watcher != nil || state.isFrozen { return }
            // Ends with the process, or cancelled by `freeze()`, which `stopWatching()` awaits.
            state.watcher = Task { await self.follow(process) }
        }
    }

    private func follow(_ process: ProcessIdentity) async {
        await withTaskGroup(of: Void.self) { group in
            group.addTask { await self.followEvents(process) }
            if await services.processes.waitForEnd(process) != .waitCancelled {
                state.withLock { $0.watcher = nil }
                await conclude(process)
            }
            group.cancelAll()
        }
    }

    private func followEvents(_ process: ProcessIdentity) async {
        var attempt = 0
        while !Task.isCancelled {
            if let session = state.withLock({ $0.session }) {
                for await event in session.events {
                    attempt = 0
                    await handle(event)
                }
            }
            guard !Task.isCancelled, services.processes.isAlive(process) else { return }
            let pause = Self.reconnectPauses[min(attempt, Self.reconnectPauses.count - 1)]
            attempt += 1
            do {
                try await Task.sleep(for: pause)
                try await attach(process, settings.adoptTimeout)
                try await resynchronise()
            } catch {
                logger.warning("QEMU does not answer on its monitor", metadata: ["error": "\(error)"])
            }
        }
    }

    /// Stops following; the process goes on.
    func freeze() {
        let (watcher, session) = state.withLock { state in
            state.isFrozen = true
            defer { state.session = nil }
            return (state.watcher, state.session)
        }
        watcher?.cancel()
        session?.close()
    }

    /// After ``freeze()``: returns when nothing is done for the machine any more.
    func stopWatching() async {
        await state.withLock { $0.watcher }?.value
        state.withLock { state in
            state.watcher = nil
            state.pipes = nil
        }
    }

    // MARK: Events

    private func handle(_ event: QMPEvent) async {
        logger.debug("QEMU event", metadata: ["event": "\(event.name)", "data": "\(event.data)"])
        let isGuests = event.data["guest"]?.boolValue ?? false
        switch event.name {
        case "SHUTDOWN":
            switch event.data["reason"]?.stringValue {
            case "guest-panic": fail()
            case _ where isGuests: await guestHasPoweredOff()
            case "host-signal": state.withLock { $0.ending = $0.ending ?? .off(.host) }
            default: break
            }
        case "RESET" where isGuests:
            state.withLock { state in post(.rebooted, state) }
        case "GUEST_PANICKED":
            fail()
        case "STOP", "RESUME", "BLOCK_IO_ERROR":
            // Our own doing is known; anything else is asked for.
            if !state.withLock({ $0.isChanging }) { try? await resynchronise() }
        default:
            break
        }
    }

    /// The guest itself or QEMU cannot go on. The process stays for whoever wants to look at it.
    private func fail() {
        state.withLock { state in
            guard state.record.state != .error, !state.isLingering else { return }
            state.record.state = .error
            post(.crashed, state)
        }
    }

    /// QEMU waits with what the guest printed last (QEMU backend, section 4.3): it is let go when that is read.
    func guestHasPoweredOff() async {
        let process = state.withLock { state -> ProcessIdentity? in
            guard !state.isLingering, let process = state.record.process?.identity else { return nil }
            state.isLingering = true
            state.record.state = .off
            state.record.task = nil
            post(.stopped(state.wasAskedToShutDown ? .requested : .guest), state)
            return process
        }
        if process == nil { return }
        await lastWordsRead()
        // The end itself comes to `follow`.
        try? await execute("quit", deadline: settings.quitTimeout)
    }

    /// Waits until the console's output is read, for a moment: if it is not, it is kept anyway as long as we live.
    func lastWordsRead() async {
        let limit = TimeLimit(Self.lastWordsTime)
        while let pipes = state.withLock({ $0.pipes }), pipes.waiting > 0, !limit.isOver {
            do { try await Task.sleep(for: .milliseconds(10)) } catch { return }
        }
    }

    /// Lets a QEMU whose guest has powered off go for good; does nothing for any other.
    func endLingering(_ limit: TimeLimit) async throws {
        guard let process = state.withLock({ $0.isLingering ? $0.record.process?.identity : nil }) else { return }
        guard await end(process, limit) else {
            throw BackendError(.timeout, "the QEMU of machine \(uuid) does not end")
        }
        await conclude(process)
    }

    /// Asks QEMU for the machine's state, and takes note of it.
    func resynchronise() async throws(BackendError) {
        let status = try await status()
        switch status {
        case "shutdown": await guestHasPoweredOff()
        case "io-error", "internal-error", "guest-panicked", "watchdog": fail()
        default:
            guard let reported = Self.machineState(status) else { return }
            state.withLock { state in
                guard !state.isLingering, !state.isChanging, state.record.state != reported else { return }
                state.record.state = reported
                post(reported == .running ? .resumed : .paused, state)
            }
        }
    }

    /// The stable states in QEMU's words; `nil` for those in between.
    static func machineState(_ status: String) -> MachineState? {
        switch status {
        case "running", "suspended": .running
        case "paused", "prelaunch": .paused
        default: nil
        }
    }
}
