import DiskImages
import DiskTransfer
package import HostBackend
import Support
import Synchronization
import SystemPackage

/// Live migration to a host of another process: guest and disks go over a connection of their own.
///
/// The source leads (QEMU backend, section 7.1). Until the destination has the guest complete and this host has written
/// down that it left, the guest belongs here, and any failure lets it go on. From then on it runs where
/// ``finishIncoming(_:)`` is called, and this host keeps its copy until ``finishOutgoing(_:)``.
extension SimulatedHost {
    private static let memorySteps: UInt64 = 10

    /// Opens the gate for guests of other processes, at the first that is expected.
    func arrivalGate() throws(BackendError) -> ArrivalGate {
        try gate.withLock { gate throws(BackendError) in
            if let gate { return gate }
            // A source may take its time between two blocks; its own limits end what is stuck.
            let new = try ArrivalGate(
                settings.migrationAddress,
                ports: settings.migrationPorts,
                tls: settings.migrationTLS,
                limit: settings.progressTimeout * 4
            ) { [weak self] socket, expected in
                guard let self, let machine = self.machine(inAnyPhase: expected.uuid),
                    machine.read({ state, _ in state.phase == .planned && state.migration == expected.migration })
                else { return }
                var session = ArrivalSession(socket, machine, migration: expected.migration)
                _ = session.run()
            }
            gate = new
            return new
        }
    }

    /// Everything up to the point from which the guest belongs to the destination.
    ///
    /// - Returns: the bytes moved.
    func moveRemotely(
        _ machine: SimulatedMachine,
        _ ticket: SimulatedTicket,
        _ abort: FileWork.Cancellation,
        _ progress: @escaping @Sendable (MigrationProgress) async -> Void
    ) async throws -> UInt64 {
        guard let way = ticket.way else {
            throw BackendError(.unavailable, "host \(ticket.destination) expects no machine from another process")
        }
        let thread = BlockingPool(label: "vmops.migration", width: 1)
        let (limit, tls) = (settings.progressTimeout, settings.migrationTLS)
        let socket = try await thread.run {
            try MigrationSocket.connect(to: way.address, port: way.port, limit: limit, tls: tls, name: way.tlsName)
        }
        // Whoever stops the migration ends the calls that wait.
        return try await withTaskCancellationHandler {
            abort.onCancel { socket.interrupt() }
            defer { socket.interrupt() }
            let line = OutgoingLine(
                socket: socket,
                thread: thread,
                bandwidth: settings.migrationBandwidth,
                world: world
            )
            do {
                return try await move(machine, ticket, way, line, abort, progress)
            } catch {
                try Task.checkCancellation()
                try abort.check()
                throw error
            }
        } onCancel: {
            socket.interrupt()
        }
    }

    private func move(
        _ machine: SimulatedMachine,
        _ ticket: SimulatedTicket,
        _ way: SimulatedTicket.Way,
        _ line: OutgoingLine,
        _ abort: FileWork.Cancellation,
        _ progress: @escaping @Sendable (MigrationProgress) async -> Void
    ) async throws -> UInt64 {
        let spec = machine.read { state, _ in state.spec }
        let disks = try await disksToSend(spec, ticket)
        defer { for disk in disks where disk.isTemporary { try? FileCalls.remove(disk.path) } }
        let memory = UInt64(spec.memoryMB) << 20
        let total = memory + disks.reduce(0) { $0 + $1.size }
        await progress(MigrationProgress(phase: .setup, transferredBytes: 0, remainingBytes: total))
        try await perform(.migrateSetup, machine.uuid) {}
        try await line.ask(.hello, ["key": .string(way.key.secret)], answer: .ok)
        let blocks = MigrationFrame.memoryBlocks(memoryMB: spec.memoryMB)
        try await perform(.migratePrecopy, machine.uuid) {
            var done: UInt64 = 0
            for disk in disks {
                try await line.send(disk: disk) {
                    try Self.check(machine, abort)
                    await progress(
                        MigrationProgress(
                            phase: .precopy,
                            transferredBytes: done + $0,
                            remainingBytes: total - done - $0
                        )
                    )
                }
                done += disk.size
            }
            for step in 1...Self.memorySteps {
                try await world.reactor.sleep(settings.migrationMilliseconds * 1_000_000 / Self.memorySteps)
                let range = (blocks * (step - 1) / Self.memorySteps)..<(blocks * step / Self.memorySteps)
                for block in range {
                    try Self.check(machine, abort)
                    try await line.send(.memory, MigrationFrame.memoryBlock(block))
                }
                try await line.ask(.sync, [:], answer: .ok)
                try Self.check(machine, abort)
                let sent = done + memory / Self.memorySteps * step
                await progress(
                    MigrationProgress(phase: .precopy, transferredBytes: sent, remainingBytes: total - sent)
                )
            }
        }
        try await perform(.migrateSwitchover, machine.uuid) {}
        try Self.check(machine, abort)
        try await handOver(machine, ticket, line, blocks)
        return total
    }

    /// The guest stands still from here on until it runs at one of the two hosts.
    private func handOver(
        _ machine: SimulatedMachine,
        _ ticket: SimulatedTicket,
        _ line: OutgoingLine,
        _ blocks: UInt64
    ) async throws {
        let (power, guest, record) = try machine.update { state, now throws(BackendError) in
            guard state.guest.isConsoleUp else { throw state.refusal("move") }
            let power = state.guest.power
            let guest = state.guest.hold(at: now)
            state.held = power
            return (power, guest, guest.record(at: now, wall: 0, withConsole: true))
        }
        do {
            line.socket.setLimit(settings.switchoverTimeout)
            try await line.ask(
                .state,
                ["guest": .object(record), "memory_blocks": .int(Int64(blocks))],
                answer: .loaded
            )
            try await perform(.migrateHandover, machine.uuid) {}
            try Task.checkCancellation()
            try machine.update { state, _ throws(BackendError) in
                state.held = nil
                state.departed = guest
                state.phase = .departed
                state.leftProcess = true
                state.migration = ticket.migration
                state.destination = ticket.destination
            }
            try await machine.save()
        } catch {
            try machine.update { state, now throws(BackendError) in
                state.held = nil
                state.departed = nil
                state.phase = .realized
                state.leftProcess = false
                state.destination = nil
                state.guest.release(at: now, power)
            }
            throw error
        }
        try machine.update { state, now throws(BackendError) in state.guest.leave(at: now) }
    }

    /// The disks that the destination has not got, each as a file that stands for itself.
    private func disksToSend(_ spec: MachineSpec, _ ticket: SimulatedTicket) async throws -> [OutgoingDisk] {
        if ticket.sharesDirectory { return [] }
        var outgoing: [OutgoingDisk] = []
        do {
            for (number, disk) in spec.disks.enumerated() where disk.role != .volume {
                var path = disk.path
                if try await disks.diskInfo(disk.path, known: disk.format).backingFile != nil {
                    path += ".migration"
                    try FileCalls.remove(path)
                    _ = try await disks.exportDisk(disk.path, known: disk.format, to: path, format: disk.format)
                }
                guard let file = try await disks.status(of: [path]).first ?? nil else {
                    throw BackendError(.notFound, "there is no disk \(path)")
                }
                outgoing.append(
                    OutgoingDisk(number: number, path: path, size: file.size, isTemporary: path != disk.path)
                )
            }
        } catch {
            for disk in outgoing where disk.isTemporary { try? FileCalls.remove(disk.path) }
            throw error
        }
        return outgoing
    }

    static func check(_ machine: SimulatedMachine, _ abort: FileWork.Cancellation) throws {
        try Task.checkCancellation()
        try abort.check()
        try machine.update { state, _ throws(BackendError) in
            guard state.guest.isConsoleUp else { throw state.refusal("move") }
        }
    }

    package func takeBack(_ uuid: InstanceUUID) async throws {
        try await perform(.takeBack, uuid) {
            guard let machine = machine(inAnyPhase: uuid) else {
                throw BackendError(.notFound, "there is no machine \(uuid) on host \(name)")
            }
            let (phase, isHere) = machine.read { state, _ in (state.phase, state.departed != nil) }
            if phase == .realized { return }
            guard phase == .departed, isHere else {
                throw BackendError(.notFound, "host \(name) has nothing of machine \(uuid) that could run")
            }
            try machine.update { state, now throws(BackendError) in
                guard let guest = state.departed else { return }
                let unread = state.guest.output.waiting
                state.guest = guest
                state.guest.output.putBack(unread)
                state.departed = nil
                state.leftProcess = false
                state.destination = nil
                state.phase = .realized
                state.guest.arrive(at: now)
            }
            try await machine.save()
        }
    }
}
