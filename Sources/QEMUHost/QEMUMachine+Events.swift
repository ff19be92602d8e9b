import HostBackend
import Logging
import Processes
import QMP
import Support
import Synchronization

/// What guests and QEMU do by themselves.
extension QEMUMachine {
    /// Pauses between two attempts to get back to a monitor.
    private static let reconnectPauses: [Duration] = [.seconds(1), .seconds(2), .seconds(5), .seconds(15)]

    /// How long a reader has for what the guest printed last, before a QEMU whose guest has powered off is let go.
    private static let releaseTime = Duration.seconds(5)
    /// The same when somebody waits for QEMU's end.
    static let lastWordsTime = Duration.milliseconds(500)
    /// How long events may take to come in after their QEMU has ended.
    private static let lateEventsTime = Duration.seconds(1)

    /// Follows the process until it ends, and its events as long as there is a session.
    func watch(_ process: ProcessIdentity) {
        state.withLock { state in
            if state.watcher?.process == process || state.isFrozen { return }
            // Ends with the process, or cancelled by `freeze()`; awaited by `stopWatching()`. That of an earlier
            // process has nothing to wait for any more.
            state.watcher = (process, Task { await self.follow(process) })
        }
    }

    private func follow(_ process: ProcessIdentity) async {
        await withTaskGroup(of: Void.self) { group in
            group.addTask { await self.followEvents(process) }
            if await services.processes.waitForEnd(process) != .waitCancelled {
                // What QEMU said last may tell why it has ended.
                group.addTask { try? await Task.sleep(for: Self.lateEventsTime) }
                await group.next()
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
            guard !Task.isCancelled, services.processes.isAlive(process), self.process == process else { return }
            let pause = Self.reconnectPauses[min(attempt, Self.reconnectPauses.count - 1)]
            attempt += 1
            do {
                try await Task.sleep(for: pause)
                try await attach(process, settings.adoptTimeout)
                try await takeUp(process)
            } catch {
                if Task.isCancelled { return }
                logger.warning("QEMU does not answer on its monitor", metadata: ["error": "\(error)"])
            }
        }
    }

    /// Stops following; the process goes on.
    func freeze() {
        let (tasks, session) = state.withLock { state in
            state.isFrozen = true
            defer { state.session = nil }
            return ([state.watcher?.task, state.releaser], state.session)
        }
        for task in tasks { task?.cancel() }
        session?.close()
    }

    /// After ``freeze()``: returns when nothing is done for the machine any more.
    func stopWatching() async {
        for task in state.withLock({ [$0.watcher?.task, $0.releaser] }) { await task?.value }
        state.withLock { state in
            state.watcher = nil
            state.releaser = nil
            state.pipes = nil
        }
    }

    // MARK: Events

    private func handle(_ event: QMPEvent) async {
        logger.debug("QEMU event", metadata: ["event": "\(event.name)", "data": "\(event.data)"])
        guard presence == .here else { return }
        let isGuests = event.data["guest"]?.boolValue ?? false
        switch event.name {
        case "SHUTDOWN":
            switch event.data["reason"]?.stringValue {
            case "guest-panic": fail()
            case _ where isGuests: guestHasPoweredOff()
            case "host-signal": state.withLock { $0.ending = $0.ending ?? .off(.host) }
            default: break
            }
        case "RESET":
            state.withLock { state in
                if state.resets.isReboot(at: event.microseconds, isGuests: isGuests) { post(.rebooted, state) }
            }
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
    func guestHasPoweredOff() {
        state.withLock { state in
            guard !state.isLingering, !state.isFrozen, state.record.process != nil else { return }
            state.isLingering = true
            state.record.state = .off
            state.record.task = nil
            post(.stopped(state.wasAskedToShutDown ? .requested : .guest), state)
            // Cancelled by `freeze()`, awaited by `stopWatching()`; short. QEMU's end itself comes to `follow`.
            state.releaser = Task {
                await self.lastWordsRead(within: Self.releaseTime)
                // Before QEMU goes: a worker that found it gone and nothing written down would take it for a crash.
                await self.saveIfPossible()
                _ = try? await self.execute("quit", deadline: self.settings.quitTimeout)
            }
        }
    }

    /// Waits until the console's output is read, for a moment: if it is not, it is kept anyway as long as we live.
    func lastWordsRead(within time: Duration = lastWordsTime) async {
        let limit = TimeLimit(time)
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
        case "shutdown": guestHasPoweredOff()
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
