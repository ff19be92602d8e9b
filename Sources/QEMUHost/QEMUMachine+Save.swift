import DiskImages
import Glibc
import HostBackend
import Logging
import Processes
import Support
import Synchronization

/// Memory to disk and back (QEMU backend, section 6).
extension QEMUMachine {
    /// QEMU's own bound is meant for networks.
    private static let unlimitedBandwidth: JSONValue = 1_099_511_627_776
    private static let descriptorName: JSONValue = "memory"

    // MARK: Saving

    /// Writes the guest's memory to disk and ends QEMU. On failure the guest goes on as before.
    func saveMemory(_ limit: TimeLimit) async throws {
        let resumes = machineState == .running
        state.withLock { $0.record.task = .saving(resumes: resumes) }
        try await changing {
            do {
                try await save()
                try await services.work.run { [files] _ in
                    try FileCalls.remove(files.memory)
                    try FileCalls.remove(files.partialMemory)
                }
                try await execute("stop")
                guard try await status() == "paused" else { throw refusal("suspend") }
                try await migrate(limit)
                try await keepMemory()
            } catch {
                await unlessCancelled { await self.takeBackSaving() }
                throw error
            }
            try await finishSaving(limit)
        }
    }

    private func migrate(_ limit: TimeLimit) async throws {
        let path = files.partialMemory
        try await services.work.run { _ in try FileCalls.writeNew(path, []) }
        try await lend(path, O_WRONLY)
        // What a live migration has set would apply here too.
        try await clearMigrationSettings()
        try await execute("migrate-set-parameters", ["max-bandwidth": Self.unlimitedBandwidth])
        try await execute("migrate", ["uri": "fd:memory"])
        try await untilMigrated(limit)
    }

    /// Gives QEMU an open file, which it has no right to open itself.
    private func lend(_ path: String, _ flags: Int32) async throws {
        let descriptor = try await services.work.run { _ in
            let descriptor = open(path, flags | O_CLOEXEC | O_NOFOLLOW)
            guard descriptor >= 0 else {
                throw BackendError(.internal, "\(SystemCallError("open", errno, path: path))")
            }
            return descriptor
        }
        defer { close(descriptor) }
        try await execute("getfd", ["fdname": Self.descriptorName], descriptor: descriptor)
    }

    private func untilMigrated(_ limit: TimeLimit) async throws {
        var pause = Duration.milliseconds(5)
        while true {
            let answer = try await execute("query-migrate")
            switch answer["status"]?.stringValue {
            case "completed":
                return
            case "failed", "cancelled":
                let reason = answer["error-desc"]?.stringValue ?? "no reason given"
                throw BackendError(
                    reason.contains("No space left") ? .resourceExhausted : .internal,
                    "the memory of machine \(uuid) was not transferred: \(reason)"
                )
            default:
                guard !limit.isOver else {
                    throw BackendError(.timeout, "the memory of machine \(uuid) was not transferred in time")
                }
                try await Task.sleep(for: pause)
                pause = min(pause * 2, .milliseconds(100))
            }
        }
    }

    /// From here on the memory on disk is what the machine is.
    private func keepMemory() async throws {
        let sync = settings.syncState
        try await services.work.run { [files] _ in
            if sync { try FileCalls.sync(files.partialMemory) }
            try FileCalls.rename(files.partialMemory, to: files.memory)
            if sync { try FileCalls.syncDirectory(of: files.memory) }
        }
    }

    /// The guest goes on, with what it was doing.
    func takeBackSaving() async {
        guard case .saving(let resumes) = record.task else { return }
        if process != nil {
            _ = try? await execute("migrate_cancel")
            await untilNotMigrating()
            if resumes { _ = try? await execute("cont") }
            if let status = try? await status(), let reached = Self.machineState(status) {
                state.withLock { if !$0.isLingering { $0.record.state = reached } }
            }
        }
        state.withLock { $0.record.task = nil }
        await removeQuietly(files.partialMemory, files.memory)
        await saveIfPossible()
    }

    func untilNotMigrating() async {
        for _ in 0..<50 {
            guard let answer = try? await execute("query-migrate") else { return }
            guard ["active", "cancelling", "setup", "device", "pre-switchover"].contains(answer["status"]?.stringValue)
            else { return }
            do { try await Task.sleep(for: .milliseconds(20)) } catch { return }
        }
    }

    /// Ends QEMU, if it is still there, and takes the machine for suspended.
    func finishSaving(_ limit: TimeLimit) async throws {
        if let process {
            await lastWordsRead()
            state.withLock { $0.ending = .saved }
            guard await end(process, limit) else {
                throw BackendError(.timeout, "the QEMU of machine \(uuid) does not end")
            }
            await conclude(process)
        }
        let disks = try await fingerprints()
        state.withLock { state in
            state.record.saved = .init(disks: disks)
            state.record.task = nil
            state.record.state = .saved
            post(.saved, state)
        }
        try await save()
    }

    // MARK: Restoring

    /// Starts QEMU with the memory on disk. On failure the machine stays suspended, memory and all.
    func restore(_ limit: TimeLimit) async throws {
        guard let saved = record.saved else { throw refusal("resume") }
        guard try await fingerprints() == saved.disks else {
            throw BackendError(
                .invalidState,
                "a disk of machine \(uuid) has changed since it was suspended; its memory does not fit any more"
            )
        }
        state.withLock { $0.record.task = .restoring }
        try await changing {
            do {
                try await launch(incoming: true, limit)
                try await lend(files.memory, O_RDONLY)
                try await execute("migrate-incoming", ["uri": "fd:memory"])
                try await untilArrived(limit)
                // Once it runs, the memory on disk fits no more: whoever finds this record lets the guest go on.
                state.withLock { $0.record.saved = nil }
                do { try await save() } catch {
                    state.withLock { $0.record.saved = saved }
                    throw error
                }
            } catch {
                await unlessCancelled { await self.takeBackRestoring() }
                throw error
            }
            try await finishRestoring()
        }
    }

    private func untilArrived(_ limit: TimeLimit) async throws {
        var pause = Duration.milliseconds(5)
        while true {
            let status = try await status()
            if Self.machineState(status) == .paused { return }
            if ["failed", "cancelled"].contains(try await execute("query-migrate")["status"]?.stringValue) {
                throw BackendError(.internal, "the memory of machine \(uuid) cannot be read back")
            }
            guard !limit.isOver else {
                throw BackendError(.timeout, "the memory of machine \(uuid) was not read back in time")
            }
            try await Task.sleep(for: pause)
            pause = min(pause * 2, .milliseconds(100))
        }
    }

    func finishRestoring() async throws {
        try await execute("cont")
        state.withLock { state in
            state.record.task = nil
            guard state.record.process != nil, !state.isLingering else { return }
            state.record.state = .running
            post(.resumed, state)
        }
        await removeQuietly(files.memory)
        await saveIfPossible()
    }

    /// Ends a QEMU that has not run yet. Opening the disks may have touched them, but no guest has.
    func takeBackRestoring() async {
        if let process {
            state.withLock { $0.ending = .undone }
            guard await end(process, TimeLimit(settings.quitTimeout * 2)) else { return }
            await conclude(process)
        }
        let disks = try? await fingerprints()
        state.withLock { state in
            state.record.task = nil
            state.record.state = .saved
            if let disks { state.record.saved = .init(disks: disks) }
        }
        await saveIfPossible()
    }

    private func fingerprints() async throws -> [DiskFingerprint] {
        let paths = record.spec.disks.map(\.path)
        return try await services.work.run { _ in
            try paths.map { path throws(BackendError) in try DiskFingerprint(of: path) }
        }
    }
}

extension DiskFingerprint {
    /// Blocks.
    fileprivate init(of path: String) throws(BackendError) {
        var information = stat()
        guard stat(path, &information) == 0 else {
            throw BackendError(.invalidState, "\(SystemCallError("stat", errno, path: path))")
        }
        self.init(
            path: path,
            size: UInt64(max(information.st_size, 0)),
            modified: Int64(information.st_mtim.tv_sec) * 1_000_000_000 + Int64(information.st_mtim.tv_nsec)
        )
    }
}
