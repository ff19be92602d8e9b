import DiskImages
import Glibc
import HostBackend
import Logging
import Processes
import QMP
import Support
import Synchronization

/// From a definition to a process, and back (QEMU backend, section 3.3).
extension QEMUMachine {
    /// Starts QEMU, connects to it and watches it. On failure no process is left and the machine is what it was.
    ///
    /// - Parameter incoming: it is to wait for a guest's memory.
    func launch(incoming: Bool, _ limit: TimeLimit) async throws {
        let record = try await prepareInterfaces()
        let words = try services.command.words(for: record, files, incoming: incoming)
        state.withLock { $0.isStarting = true }
        defer { state.withLock { $0.isStarting = false } }
        let started = try await services.work.run { [self] _ in
            try MachineAccess.grant(record.spec, to: services.command.demotion?.user)
            return try start(words)
        }
        state.withLock { state in
            state.pipes = started.pipes
            state.record.process = .init(identity: started.process, bootID: services.bootID)
            state.ending = nil
            state.isLingering = false
            state.wasAskedToShutDown = false
        }
        do {
            // Whoever comes after us has to know of the process before anything else can go wrong.
            try await save()
            try await attach(started.process, limit.atMost(settings.startTimeout))
        } catch {
            throw await giveUp(started.process, error)
        }
    }

    private func start(
        _ words: (executable: String, arguments: [String])
    ) throws(BackendError) -> (process: ProcessIdentity, pipes: ConsolePipes) {
        let pipes = try ConsolePipes.make(
            files,
            owner: services.command.demotion?.user,
            size: settings.consolePipeBytes
        )
        // A log of this start alone: it is for the error of a start that fails, and must not grow for ever.
        try FileCalls.remove(files.log)
        awaitSocketRemoval()
        let socket = try MonitorSocket(files.monitor)
        do {
            let process = try services.processes.start(
                DetachedCommand(
                    executable: words.executable,
                    arguments: words.arguments,
                    environment: ["LC_ALL=C", "PATH=/usr/sbin:/usr/bin:/sbin:/bin"],
                    workingDirectory: "/",
                    outputPath: files.log,
                    passedDescriptors: [(source: socket.descriptor, target: QEMUCommand.monitorDescriptor)]
                )
            )
            return (process, pipes)
        } catch {
            throw BackendError(
                error.code == .resources ? .resourceExhausted : .internal,
                "QEMU cannot be started: \(error)",
                cause: error
            )
        }
    }

    /// Connects to the monitor of a process and begins to watch it.
    ///
    /// - Throws: `unavailable` or `timeout`; the process is not touched.
    func attach(_ process: ProcessIdentity, _ deadline: Duration) async throws(BackendError) {
        let session: QMPSession
        do {
            session = try await QMPSession.connect(
                path: files.monitor,
                reactor: services.reactor,
                deadline: deadline,
                logger: logger
            )
        } catch {
            throw BackendError(error, "monitor of machine \(uuid)")
        }
        let replaced = state.withLock { state -> QMPSession? in
            guard !state.isFrozen, state.record.process?.identity == process else { return session }
            defer { state.session = session }
            return state.session
        }
        replaced?.close()
        watch(process)
    }

    /// Ends a process that did not come to work, and says why in the error.
    private func giveUp(_ process: ProcessIdentity, _ error: any Error) async -> any Error {
        await unlessCancelled { [self] in
            state.withLock { $0.ending = .undone }
            // If it ends by itself it has something to say first.
            let lostIt = (error as? BackendError)?.code == .unavailable
            let hasEnded = lostIt ? await hasEnded(process, within: .seconds(2)) : false
            if !hasEnded {
                services.processes.signal(process, SIGKILL)
                _ = await self.hasEnded(process, within: settings.quitTimeout)
            }
            await conclude(process)
        }
        guard let error = error as? BackendError, error.code == .unavailable else { return error }
        let words = (try? await services.work.run { [files] _ in files.lastWords() }) ?? ""
        let code: BackendError.Code =
            if words.contains("Cannot allocate memory") || words.contains("No space left") {
                .resourceExhausted
            } else if words.contains("Permission denied") {
                .unauthorized
            } else {
                .internal
            }
        return BackendError(code, "QEMU of machine \(uuid) did not start: \(words)", cause: error)
    }

    // MARK: Ending

    /// Whether the process ends in time.
    func hasEnded(_ process: ProcessIdentity, within limit: Duration) async -> Bool {
        let processes = services.processes
        do {
            return try await withDeadline(limit) { await processes.waitForEnd(process) } != .waitCancelled
        } catch {
            return !processes.isAlive(process)
        }
    }

    /// Has QEMU end by itself, or kills it.
    ///
    /// - Returns: `false` when it is still there when the time is up.
    func end(_ process: ProcessIdentity, _ limit: TimeLimit) async -> Bool {
        let patience = min(settings.quitTimeout, limit.remaining / 2)
        if let session = state.withLock({ $0.session }), session.isOpen {
            let asked = ContinuousClock.now
            let answer = try? await session.execute("quit", deadline: patience)
            let left = patience - (ContinuousClock.now - asked)
            // Without an answer it may have ended, but nothing is to be hoped for from waiting long.
            if await hasEnded(process, within: answer == nil ? min(left, .milliseconds(200)) : left) { return true }
        }
        services.processes.signal(process, SIGKILL)
        return await hasEnded(process, within: max(limit.remaining, .seconds(2)))
    }

    /// Takes note that a process has ended; who does it first decides. Its record is written before this returns.
    func conclude(_ process: ProcessIdentity) async {
        let session = state.withLock { state -> QMPSession?? in
            guard state.record.process?.identity == process else { return nil }
            state.record.process = nil
            let session = state.session
            state.session = nil
            if !state.isLingering { settle(&state) }
            state.isLingering = false
            state.ending = nil
            return .some(session)
        }
        guard case .some(let session) = session else { return }
        session?.close()
        logger.info("QEMU has ended", metadata: ["pid": "\(process.pid)", "state": "\(machineState.rawValue)"])
        await removeSocket()
        await saveIfPossible()
    }

    private func settle(_ state: inout State) {
        // Whose machine it is decides what becomes of it: the end of a QEMU that waits is no news.
        if state.record.presence != .here { return }
        switch state.ending {
        case .off(let reason):
            state.record.state = .off
            state.record.task = nil
            post(.stopped(reason), state)
        case .saved, .undone:
            break
        case nil where state.record.task != nil && state.record.saved != nil:
            // It ended while its memory was read back, which is all still there.
            state.record.task = nil
        case nil:
            state.record.state = .error
            state.record.task = nil
            post(.crashed, state)
        }
    }

    func post(_ kind: MachineEvent.Kind, _ state: borrowing State) {
        if !state.isFrozen { services.events.post(uuid, incarnation, kind) }
    }
}
