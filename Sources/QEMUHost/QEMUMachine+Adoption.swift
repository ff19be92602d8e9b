import DiskImages
import Glibc
import HostBackend
import Logging
import Processes
import Support
import Synchronization

/// Taking up what an earlier worker has left (QEMU backend, section 9).
extension QEMUMachine {
    /// Finds the machine's QEMU, finishes or takes back what was begun, and reports what happened meanwhile.
    ///
    /// A QEMU that does not answer is watched on; the machine keeps the state it had, and its operations fail until it
    /// answers.
    func adopt() async {
        guard let process = await findProcess() else { return await adoptDead() }
        do {
            let pipes = try await services.work.run { [self] _ in
                try ConsolePipes(files, size: settings.consolePipeBytes)
            }
            state.withLock { $0.pipes = pipes }
        } catch {
            logger.error("machine's console not taken up", metadata: ["error": "\(error)"])
        }
        state.withLock { $0.record.process = .init(identity: process, bootID: services.bootID) }
        do {
            try await attach(process, settings.adoptTimeout)
            try await takeUp(process)
        } catch {
            logger.error("machine's QEMU does not answer", metadata: ["error": "\(error)"])
            watch(process)
        }
    }

    /// The process by the record, or the one that a worker started and could not write down any more.
    private func findProcess() async -> ProcessIdentity? {
        if let process = record.process {
            let isOurs = process.bootID == services.bootID && services.processes.isAlive(process.identity)
            return isOurs ? process.identity : nil
        }
        let uuid = uuid
        let files = files
        return try? await services.work.run { _ in
            // The socket goes after the process, so without it there is none.
            guard try FileCalls.status(files.monitor) != nil else { return nil }
            return try ProcessSearch.find { words in
                words.contains(uuid.text)
                    && words.contains { $0.hasSuffix("path=" + QEMUCommand.escaped(files.console)) }
            }
        }
    }

    /// Brings the record and a QEMU that answers again into line.
    func takeUp(_ process: ProcessIdentity) async throws {
        let answered = try await execute("query-uuid")["UUID"]?.stringValue
        guard answered == uuid.text else {
            throw BackendError(.conflict, "its monitor answers for machine \(answered ?? "?")")
        }
        // Its other host, or the one who asks for it, decides what becomes of it.
        guard presence == .here else { return }
        await discardExport()
        let limit = TimeLimit(settings.startTimeout)
        switch record.task {
        case .saving:
            let isSaved = try await execute("query-migrate")["status"]?.stringValue == "completed"
            guard isSaved else { return await takeBackSaving() }
            let files = files
            try await services.work.run { _ in
                if try FileCalls.status(files.memory) == nil {
                    try FileCalls.sync(files.partialMemory)
                    try FileCalls.rename(files.partialMemory, to: files.memory)
                }
            }
            try await finishSaving(limit)
        case .restoring where record.saved == nil:
            try await finishRestoring()
        case .restoring:
            await takeBackRestoring()
        case .leaving:
            await takeBackLeaving()
        case nil where record.state == .saved || record.saved != nil:
            // Started to be restored, and nothing was written down yet.
            await takeBackRestoring()
        case nil where record.state == .off || record.state == .error:
            try await takeUpStarted()
        case nil:
            try await resynchronise()
        }
    }

    /// Started, and nothing was written down yet: it runs, so it was wanted.
    private func takeUpStarted() async throws {
        let status = try await status()
        if status == "running" || status == "paused" || status == "prelaunch" {
            state.withLock { state in
                state.record.state = status == "running" ? .running : .paused
                post(.started, state)
            }
            return try await save()
        }
        try await resynchronise()
    }

    /// There is no QEMU any more.
    private func adoptDead() async {
        let record = record
        await removeQuietly(files.monitor)
        if record.presence != .here {
            state.withLock { $0.record.process = nil }
            return await saveIfPossible()
        }
        if case .saving = record.task, (try? FileCalls.status(files.memory)) ?? nil != nil {
            // All of the memory was on disk, and QEMU was told to go.
            state.withLock { $0.record.process = nil }
            do { try await finishSaving(TimeLimit(settings.quitTimeout)) } catch {
                logger.error("machine's memory is lost", metadata: ["error": "\(error)"])
            }
            return
        }
        let wasOn = record.process != nil || record.state == .running || record.state == .paused
        guard wasOn || record.task != nil else { return }
        let bootID = services.bootID
        state.withLock { state in
            state.record.process = nil
            state.record.task = nil
            if record.saved != nil || record.state == .saved, record.state != .running {
                // It was being restored; its memory is still there.
                state.record.state = .saved
            } else if record.process.map({ $0.bootID != bootID }) ?? false {
                // The whole host was restarted: nothing is wrong with the machine.
                state.record.state = .off
                post(.stopped(.host), state)
            } else if record.state != .off {
                if record.state != .error { post(.crashed, state) }
                state.record.state = .error
            }
        }
        if record.saved == nil {
            await removeQuietly(files.partialMemory, files.memory)
        }
        await saveIfPossible()
    }
}
