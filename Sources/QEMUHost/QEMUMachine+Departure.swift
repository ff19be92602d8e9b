import HostBackend
import Logging
import Processes
import Support
import Synchronization

/// The source's part of a live migration.
extension QEMUMachine {
    private static let longestPause = Duration.milliseconds(100)
    private static let throttle: JSONObject = ["cpu-throttle-initial": 40, "cpu-throttle-increment": 20]

    /// Moves the machine, up to the record that says that it has left. On any failure before, it goes on here.
    func leave(
        _ destination: DestinationFacts,
        _ travelling: TravellingMachine,
        _ way: ArrivalWay,
        _ progress: @Sendable (MigrationProgress) async -> Void
    ) async throws {
        try await endLingering(TimeLimit(settings.quitTimeout))
        guard record.task == nil, machineState == (travelling.runs ? .running : .paused) else { throw refusal("move") }
        state.withLock { $0.record.task = .leaving(resumes: travelling.runs) }
        let sent: UInt64 = try await changing {
            do {
                // Whoever comes after us has to know that QEMU is not left to itself.
                try await save()
                await untilNotMigrating()
                let bytes = try await send(destination, travelling, way, progress)
                try Task.checkCancellation()
                try await commit()
                return bytes
            } catch {
                await unlessCancelled { await self.takeBackLeaving() }
                throw error
            }
        }
        await progress(MigrationProgress(phase: .switchover, transferredBytes: sent, remainingBytes: 0))
        await progress(MigrationProgress(phase: .completed, transferredBytes: sent, remainingBytes: 0))
    }

    /// Sends disks and memory, until the destination has all of it and the guest stands still here.
    private func send(
        _ destination: DestinationFacts,
        _ travelling: TravellingMachine,
        _ way: ArrivalWay,
        _ progress: @Sendable (MigrationProgress) async -> Void
    ) async throws -> UInt64 {
        let memory = UInt64(record.spec.memoryMB) << 20
        await progress(MigrationProgress(phase: .setup, transferredBytes: 0, remainingBytes: memory))
        let isEncrypted = try await addCertificates(.source)
        guard isEncrypted == destination.usesTLS else {
            throw BackendError(.invalidArgument, "host \(destination.host) has another mind about TLS")
        }
        try await copyDisks(travelling.disks, way, isEncrypted: isEncrypted) { copied, total in
            await progress(
                MigrationProgress(
                    phase: .precopy,
                    transferredBytes: copied,
                    remainingBytes: total - min(copied, total) + memory
                )
            )
        }
        let copied = try await copiedBytes(travelling.disks).done
        try await configure(travelling, way, isEncrypted: isEncrypted)
        let uri = "tcp:\(MigrationAddress.bracketed(way.address)):\(way.port)"
        try await execute("migrate", ["uri": .string(uri)])
        return try await follow(travelling, copied, progress)
    }

    private func configure(
        _ travelling: TravellingMachine,
        _ way: ArrivalWay,
        isEncrypted: Bool
    ) async throws {
        let limits = settings.migration
        var capabilities = capabilities(travelling)
        capabilities["pause-before-switchover"] = true
        capabilities["auto-converge"] = limits.autoConverge
        try await set(capabilities)
        var parameters = Self.throttle
        // QEMU's own bound is far below what networks carry.
        parameters["max-bandwidth"] = .int(Int64(limits.bandwidth ?? 1 << 40))
        parameters["downtime-limit"] = .int(limits.downtime.milliseconds)
        if travelling.channels > 1 { parameters["multifd-channels"] = .int(Int64(travelling.channels)) }
        parameters["tls-creds"] = .string(isEncrypted ? Self.certificatesName : "")
        parameters["tls-hostname"] = .string(isEncrypted ? way.tlsName ?? way.address : "")
        try await execute("migrate-set-parameters", parameters)
    }

    /// Watches the transfer, helps it to its end, and switches over.
    ///
    /// - Returns: the bytes sent, disks included.
    private func follow(
        _ travelling: TravellingMachine,
        _ copied: UInt64,
        _ progress: @Sendable (MigrationProgress) async -> Void
    ) async throws -> UInt64 {
        let limits = settings.migration
        let began = ContinuousClock.now
        var policy = ConvergencePolicy(limits)
        var stillness = Stillness(limit: limits.progressTimeout)
        // At the switch-over QEMU may be stuck with its disks' copies.
        let patience = min(settings.commandTimeout, limits.switchoverTimeout)
        var pause = Duration.milliseconds(5)
        while true {
            let answer = try await execute("query-migrate", deadline: patience)
            let ram = answer["ram"]
            let sent = copied + UInt64(clamping: ram?["transferred"]?.intValue ?? 0)
            let remaining = UInt64(clamping: ram?["remaining"]?.intValue ?? 0)
            switch answer["status"]?.stringValue {
            case "completed":
                return sent
            case "failed", "cancelled", "none":
                let reason = answer["error-desc"]?.stringValue ?? "its QEMU gives no reason"
                throw BackendError(.unavailable, "the memory of machine \(uuid) was not transferred: \(reason)")
            case "pre-switchover":
                try await finishCopies(travelling.disks, TimeLimit(limits.switchoverTimeout))
                try await execute("migrate-continue", ["state": "pre-switchover"])
                stillness = Stillness(limit: limits.switchoverTimeout)
            case "active":
                try await checkCopies(travelling.disks)
                await progress(
                    MigrationProgress(phase: .precopy, transferredBytes: sent, remainingBytes: remaining)
                )
                let pass = ram?["dirty-sync-count"]?.intValue ?? 0
                try await act(on: policy.look(elapsed: .now - began, pass: pass, remaining: remaining))
            default:
                break
            }
            if state.withLock({ $0.isLingering }) {
                throw BackendError(.invalidState, "the guest of machine \(uuid) has powered off")
            }
            try stillness.check(sent, uuid)
            try await Task.sleep(for: pause)
            pause = min(pause * 2, Self.longestPause)
        }
    }

    private func act(on action: ConvergencePolicy.Action) async throws {
        switch action {
        case .none: break
        case .allow(let downtime):
            logger.info("guest changes its memory fast: it may stand still longer", metadata: ["limit": "\(downtime)"])
            try await execute("migrate-set-parameters", ["downtime-limit": .int(downtime.milliseconds)])
        case .pause:
            logger.notice("guest changes its memory too fast and is stopped for its migration")
            try await execute("stop")
        case .giveUp:
            throw BackendError(
                .timeout,
                "the guest of machine \(uuid) changes its memory faster than it can be transferred"
            )
        }
    }

    /// From here on the machine is not this host's any more.
    private func commit() async throws {
        state.withLock { state in
            state.record.presence = .departed
            state.record.task = nil
        }
        let failure = await unlessCancelled { () -> (any Error)? in
            do {
                try await self.save()
                return nil
            } catch {
                return error
            }
        }
        guard let failure else { return state.withLock { state in post(.migratedOut, state) } }
        let resumes = machineState == .running
        state.withLock { state in
            state.record.presence = .here
            state.record.task = .leaving(resumes: resumes)
        }
        // The failure may have come after the record was in place: the guest may go on only if it is not.
        do {
            try await unlessCancelled { () -> Result<Void, any Error> in
                do { return .success(try await self.save()) } catch { return .failure(error) }
            }.get()
        } catch {
            state.withLock { state in
                state.record.task = .leaving(resumes: false)
                state.record.state = .paused
            }
            logger.error("machine stands still: its record cannot be written", metadata: ["error": "\(error)"])
        }
        throw failure
    }

    /// Stops a migration that has not been committed to; the guest goes on, if it ran.
    func takeBackLeaving() async {
        guard case .leaving(let resumes) = record.task else { return }
        if process != nil {
            await cutCopies()
            _ = try? await execute("migrate_cancel")
            await untilNotMigrating()
            await discardCopies()
            try? await clearMigrationSettings()
            let isThere = state.withLock { !$0.isLingering && $0.record.process != nil }
            if resumes, isThere { _ = try? await execute("cont") }
            if let status = try? await status() {
                if status == "shutdown" { guestHasPoweredOff() }
                let reached = Self.machineState(status)
                state.withLock { if let reached, !$0.isLingering { $0.record.state = reached } }
            }
        }
        state.withLock { $0.record.task = nil }
        await saveIfPossible()
    }

    /// A machine that had left goes on here. May be repeated.
    func comeBack() async throws {
        state.withLock { $0.record.presence = .here }
        do { try await save() } catch {
            state.withLock { $0.record.presence = .departed }
            throw error
        }
        guard let process, services.processes.isAlive(process) else {
            // Its memory is gone with its QEMU; what is on its disks is there.
            state.withLock { state in
                state.record.process = nil
                if [.running, .paused].contains(state.record.state) { state.record.state = .error }
            }
            return try await save()
        }
        try await changing {
            await discardCopies()
            try await clearMigrationSettings()
            if machineState == .running, try await status() != "running" { try await execute("cont") }
        }
        try await resynchronise()
    }

    /// QEMUs newer than the source's know its machines, others may not.
    func checkVersion(_ destination: DestinationFacts) async throws(BackendError) {
        let answer = try await execute("query-version")["qemu"]
        let (major, minor) = (answer?["major"]?.intValue ?? 0, answer?["minor"]?.intValue ?? 0)
        let own = Int(major * 1000 + minor)
        let isVersioned = record.platform.machineType.contains("-")
        guard destination.version == own || isVersioned && destination.version > own else {
            throw BackendError(
                .invalidArgument,
                "host \(destination.host) has QEMU \(destination.version / 1000).\(destination.version % 1000), "
                    + "and the machine runs under \(major).\(minor) as \(record.platform.machineType)"
            )
        }
    }
}

/// Finds out when nothing moves any more.
struct Stillness {
    private let limit: Duration
    private var last: UInt64?
    private var since = ContinuousClock.now

    init(limit: Duration) { self.limit = limit }

    /// Throws `timeout` when the number has not changed for too long.
    mutating func check(_ number: UInt64, _ uuid: InstanceUUID) throws(BackendError) {
        if number != last {
            last = number
            since = .now
        }
        guard .now - since < limit else {
            throw BackendError(.timeout, "the transfer of machine \(uuid) stands still")
        }
    }
}

extension Duration {
    /// Whole milliseconds.
    var milliseconds: Int64 {
        let (seconds, attoseconds) = components
        return seconds * 1000 + attoseconds / 1_000_000_000_000_000
    }
}
