import DiskImages
import DiskTransfer
package import HostBackend
import Support
import Synchronization

extension SimulatedHost {
    package func checkIncoming(_ spec: MachineSpec, _ options: MigrationOptions) async throws -> MigrationTicket {
        try await perform(.checkIncoming, spec.uuid, metadata: spec.metadata) {
            try require(.liveMigration, "live migration")
            if options.copyStorage { try require(.liveStorageMigration, "live migration with its disks") }
            _ = try check(spec)
            switch settings.sharedStorage {
            case true? where options.copyStorage:
                throw BackendError(.invalidArgument, "host \(name) shares its storage: its disks are not to be copied")
            case false? where !options.copyStorage:
                throw BackendError(.invalidArgument, "host \(name) shares no storage: the disks have to be copied")
            default: break
            }
            try inventory.withLock { state throws(BackendError) in
                if let present = state.machines[spec.uuid], present.read({ state, _ in state.phase != .planned }) {
                    throw BackendError(.alreadyExists, "machine \(spec.uuid) exists already on host \(name)")
                }
                try checkRoom(state, spec, 0)
            }
            return try await ticket(for: spec, UniqueID.make(), options.copyStorage).merged()
        }
    }

    package func checkOutgoing(_ uuid: InstanceUUID, _ ticket: MigrationTicket) async throws -> MigrationTicket {
        try await perform(.checkOutgoing, uuid) {
            try require(.liveMigration, "live migration")
            let ours = try SimulatedTicket(ticket)
            guard ours.destination != name else {
                throw BackendError(.invalidArgument, "machine \(uuid) is on host \(name) already")
            }
            let spec = try find(uuid).read { state, _ in
                state.guest.isConsoleUp ? Result<_, BackendError>.success(state.spec) : .failure(state.refusal("move"))
            }.get()
            if ours.world == world.id {
                if !ours.copyStorage { _ = try await copies(spec, ours) }
            } else {
                guard ours.copyStorage || ours.sharesDirectory else {
                    throw BackendError(
                        .invalidArgument,
                        "host \(ours.destination) does not see the disks: they have to be copied"
                    )
                }
                try MigrationCertificates.agree(ours: settings.migrationTLS, theirs: ours.usesTLS)
            }
            var answer = ours.merged(into: ticket)
            if let tls = settings.migrationTLS {
                answer[SimulatedTicket.sourceNameKey] = .string(tls.name ?? settings.migrationAddress)
            }
            answer[SimulatedTicket.sourceWorldKey] = .string(world.id)
            return answer
        }
    }

    package func prepareIncoming(_ spec: MachineSpec, _ ticket: MigrationTicket) async throws -> MigrationTicket {
        try await perform(.prepareIncoming, spec.uuid, metadata: spec.metadata) {
            let ours = try SimulatedTicket(ticket)
            guard ours.destination == name else {
                throw BackendError(.invalidArgument, "the ticket is for host \(ours.destination)")
            }
            // What an earlier, given up migration left.
            if let old = machine(inAnyPhase: spec.uuid),
                old.read({ state, _ in state.phase == .planned && state.migration != ours.migration })
            {
                try await removeArrival(old)
            }
            if let machine = try await define(spec, phase: .planned, migration: ours.migration) { start(machine) }
            var answer = try await self.ticket(for: spec, ours.migration, ours.copyStorage)
            if ticket[SimulatedTicket.sourceWorldKey]?.stringValue != world.id {
                let (gate, tls) = (try arrivalGate(), settings.migrationTLS)
                let source = tls == nil ? nil : ticket[SimulatedTicket.sourceNameKey]?.stringValue
                answer.way = SimulatedTicket.Way(
                    address: gate.address,
                    port: gate.port,
                    key: Redacted(try gate.expect(spec.uuid, ours.migration, from: source)),
                    tlsName: tls.map { $0.name ?? gate.address }
                )
            }
            return answer.merged(into: ticket)
        }
    }

    package func finishIncoming(_ uuid: InstanceUUID) async throws {
        try await perform(.finishIncoming, uuid) {
            guard let machine = machine(inAnyPhase: uuid) else {
                throw BackendError(.notFound, "there is no machine \(uuid) on host \(name)")
            }
            let diskGB = try await disks.totalGB(of: machine.read { state, _ in state.spec.disks })
            let guest = try machine.update { state, _ throws(BackendError) -> Guest? in
                let guest = state.phase == .planned ? state.incoming : nil
                guard guest != nil || state.phase == .realized || state.phase == .arrived else {
                    throw BackendError(.notFound, "the guest of machine \(uuid) has not come to host \(self.name)")
                }
                if let guest { state.guest = guest }
                state.incoming = nil
                state.phase = .realized
                state.diskGB = diskGB
                return guest
            }
            do {
                // Before it prints anything, for it starts from here again if the process ends now.
                try await machine.save()
            } catch {
                if let guest {
                    try machine.update { state, _ throws(BackendError) in
                        state.incoming = guest
                        state.phase = .planned
                    }
                }
                throw error
            }
            if guest != nil { try machine.update { state, now throws(BackendError) in state.guest.arrive(at: now) } }
        }
    }

    package func abandonIncoming(_ uuid: InstanceUUID) async throws {
        try await perform(.abandonIncoming, uuid) {
            guard let machine = machine(inAnyPhase: uuid) else { return }
            guard machine.read({ state, _ in state.phase }) == .planned else {
                throw BackendError(.conflict, "machine \(uuid) has arrived and runs here: it cannot be abandoned")
            }
            try await removeArrival(machine)
        }
    }

    package func finishOutgoing(_ uuid: InstanceUUID) async throws {
        try await perform(.finishOutgoing, uuid) {
            guard let machine = machine(inAnyPhase: uuid) else { return }
            let (phase, isSafe) = machine.read { state, _ in (state.phase, state.departed == nil) }
            guard phase == .departed else {
                throw BackendError(.invalidState, "machine \(uuid) has not left host \(name)")
            }
            guard isSafe || machine.read({ state, _ in state.leftProcess }) else {
                throw BackendError(.conflict, "machine \(uuid) has not arrived anywhere yet")
            }
            try await remove(machine)
        }
    }

    /// Removes a machine that did not come, with those of its disks that did.
    private func removeArrival(_ machine: SimulatedMachine) async throws {
        // No more of them comes.
        let received = try machine.update { state, _ throws(BackendError) in
            defer { state.migration = nil }
            return state.received
        }
        try await disks.removeFiles(received)
        try await remove(machine)
    }

    private func remove(_ machine: SimulatedMachine) async throws {
        try await machine.removeFile()
        forget(machine)
    }

    // MARK: - Disks

    private func ticket(
        for spec: MachineSpec,
        _ migration: String,
        _ copyStorage: Bool
    ) async throws -> SimulatedTicket {
        let disks = spec.disks.filter { $0.role != .volume }
        let files = try await self.disks.status(of: disks.map(\.path))
        var ticket = SimulatedTicket(
            migration: migration,
            world: world.id,
            destination: name,
            copyStorage: copyStorage,
            disks: zip(disks, files).map { disk, file in
                SimulatedTicket.Disk(
                    role: disk.role.rawValue,
                    address: disk.address,
                    path: disk.path,
                    device: file?.device,
                    inode: file?.inode
                )
            }
        )
        ticket.usesTLS = settings.migrationTLS != nil
        return ticket
    }

    /// Which files have to be copied where; none for disks that both hosts see.
    ///
    /// - Throws: `invalidArgument` when something would have to be copied and must not be, or has nowhere to go.
    func copies(
        _ spec: MachineSpec,
        _ ticket: SimulatedTicket
    ) async throws -> [(source: String, target: String, size: UInt64)] {
        let disks = spec.disks.filter { $0.role != .volume }
        let files = try await self.disks.status(of: disks.map(\.path))
        var copies: [(source: String, target: String, size: UInt64)] = []
        for (disk, file) in zip(disks, files) {
            guard let file else { throw BackendError(.notFound, "there is no disk \(disk.path)") }
            let match = ticket.disks.first { $0.role == disk.role.rawValue && $0.address == disk.address }
            guard let match else {
                throw BackendError(.invalidArgument, "host \(ticket.destination) does not expect the disk \(disk.path)")
            }
            if match.device == file.device, match.inode == file.inode { continue }
            guard ticket.copyStorage else {
                throw BackendError(
                    .invalidArgument,
                    "host \(ticket.destination) does not see \(disk.path): the disks have to be copied"
                )
            }
            copies.append((disk.path, match.path, file.size))
        }
        return copies
    }
}
