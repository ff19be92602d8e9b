import DiskImages
package import HostBackend
import Support
import Synchronization

extension SimulatedHost {
    private static let progressSteps: UInt64 = 10

    /// The commit point is the source's file, which says that the guest has left and holds the guest: before it is
    /// written the guest belongs to the source, afterwards to the destination, also when the process is killed in
    /// between; ``settleMigrations()`` then delivers it.
    package func migrate(
        _ uuid: InstanceUUID,
        _ ticket: MigrationTicket,
        progress: @escaping @Sendable (MigrationProgress) async -> Void
    ) async throws {
        try await perform(.migrate, uuid) {
            try require(.liveMigration, "live migration")
            let machine = try find(uuid)
            let ours = try SimulatedTicket(ticket)
            guard let destination = world.host(ours.destination) else {
                throw BackendError(.unavailable, "host \(ours.destination) is not in service")
            }
            let arrival = try destination.planned(uuid, ours.migration)
            let abort = FileWork.Cancellation()
            inventory.withLock { $0.departures[uuid] = abort }
            defer { inventory.withLock { _ = $0.departures.removeValue(forKey: uuid) } }
            let total = try await move(machine, arrival, ours, abort, progress)

            // From here on the guest lives at the destination, and being cancelled changes nothing.
            await progress(MigrationProgress(phase: .switchover, transferredBytes: total, remainingBytes: 0))
            do {
                try await perform(.migrateCompleted, uuid) {}
            } catch let error as BackendError where error.code == .cancelled {}
            await progress(MigrationProgress(phase: .completed, transferredBytes: total, remainingBytes: 0))
        }
    }

    /// Everything up to the guest's arrival. On failure the guest runs here, and no copied disk is left there.
    ///
    /// - Returns: the bytes moved.
    private func move(
        _ machine: SimulatedMachine,
        _ arrival: SimulatedMachine,
        _ ticket: SimulatedTicket,
        _ abort: FileWork.Cancellation,
        _ progress: @escaping @Sendable (MigrationProgress) async -> Void
    ) async throws -> UInt64 {
        let uuid = machine.uuid
        let spec = machine.read { state, _ in state.spec }
        let copies = try await copies(spec, ticket)
        let total = UInt64(spec.memoryMB) << 20 + copies.reduce(0) { $0 + $1.size }
        await progress(MigrationProgress(phase: .setup, transferredBytes: 0, remainingBytes: total))
        try await perform(.migrateSetup, uuid) {}
        var made: [String] = []
        do {
            try await perform(.migratePrecopy, uuid) {
                for copy in copies {
                    made.append(copy.target)
                    try await disks.copyDisk(copy.source, to: copy.target)
                }
                for step in 1...Self.progressSteps {
                    try await world.reactor.sleep(settings.migrationMilliseconds * 1_000_000 / Self.progressSteps)
                    try Self.check(machine, abort)
                    let done = total / Self.progressSteps * step
                    await progress(
                        MigrationProgress(phase: .precopy, transferredBytes: done, remainingBytes: total - done)
                    )
                }
            }
            try await perform(.migrateSwitchover, uuid) {}
            try Self.check(machine, abort)
            try await commit(machine, ticket)
        } catch {
            try? await disks.removeFiles(made)
            throw error
        }
        await deliver(machine, to: arrival)
        return total
    }

    private static func check(_ machine: SimulatedMachine, _ abort: FileWork.Cancellation) throws {
        try Task.checkCancellation()
        try abort.check()
        try machine.update { state, _ throws(BackendError) in
            guard state.guest.isConsoleUp else { throw state.refusal("move") }
        }
    }

    /// Stops the guest here for good, or lets it go on if that cannot be written down.
    private func commit(_ machine: SimulatedMachine, _ ticket: SimulatedTicket) async throws {
        let power = try machine.update { state, now throws(BackendError) in
            guard state.guest.isConsoleUp else { throw state.refusal("move") }
            let power = state.guest.power
            state.departed = state.guest.hold(at: now)
            state.phase = .departed
            state.migration = ticket.migration
            state.destination = ticket.destination
            return power
        }
        do {
            try await machine.save()
        } catch {
            try machine.update { state, now throws(BackendError) in
                state.departed = nil
                state.phase = .realized
                state.destination = nil
                state.guest.release(at: now, power)
            }
            throw error
        }
        try machine.update { state, now throws(BackendError) in state.guest.leave(at: now) }
    }

    /// Hands the guest over. It has left already, so nothing here may fail the migration; a file that cannot be
    /// written is reported, and the source keeps its copy of the guest.
    private func deliver(_ machine: SimulatedMachine, to arrival: SimulatedMachine) async {
        guard let guest = machine.read({ state, _ in state.departed }) else { return }
        do {
            try arrival.update { state, now throws(BackendError) in
                guard state.phase == .planned else { return }
                state.guest = guest
                state.phase = .arrived
                state.guest.arrive(at: now)
            }
            try await arrival.save()
            try machine.update { state, _ throws(BackendError) in state.departed = nil }
            try await machine.save()
        } catch {
            store.report(error, machine.uuid)
        }
    }

    /// The machine that waits here for its guest.
    func planned(_ uuid: InstanceUUID, _ migration: String) throws(BackendError) -> SimulatedMachine {
        guard let machine = machine(inAnyPhase: uuid),
            machine.read({ state, _ in state.phase == .planned && state.migration == migration })
        else {
            throw BackendError(.conflict, "host \(name) is not prepared for machine \(uuid)")
        }
        return machine
    }

    /// Brings guests that had left one host and not arrived at the other when an earlier worker died to where they
    /// belong, as soon as both hosts are in service.
    func settleMigrations() async throws {
        for source in world.hosts {
            let machines = source.inventory.withLock { Array($0.machines.values) }
            for machine in machines {
                let (left, destination, migration) = machine.read { state, _ in
                    (state.phase == .departed && state.departed != nil, state.destination, state.migration)
                }
                guard left, let host = destination.flatMap({ world.host($0) }),
                    let arrival = host.machine(inAnyPhase: machine.uuid),
                    arrival.read({ state, _ in state.migration == migration })
                else { continue }
                await source.deliver(machine, to: arrival)
            }
        }
    }
}
