import DiskImages
package import HostBackend
import Support
import Synchronization

/// Live migration (QEMU backend, section 7). The source leads; see docs/migration.md for who decides what.
extension QEMUHost {
    package func checkIncoming(_ spec: MachineSpec, _ options: MigrationOptions) async throws -> MigrationTicket {
        let services = try services()
        try Self.check(spec)
        if let present = try findAny(spec.uuid), !present.presence.isArriving {
            throw BackendError(.alreadyExists, "machine \(spec.uuid) exists already on host \(name)")
        }
        guard let facts = inventory.withLock({ $0.facts }) else {
            throw BackendError(.unavailable, "host \(name) is not in service")
        }
        let available = try await work.run { _ in
            let text = String(
                decoding: try FileCalls.read("/proc/meminfo", offset: 0, count: 64 << 10),
                as: UTF8.self
            )
            return MemoryFigures(text).availableKB >> 10
        }
        guard available >= spec.memoryMB else {
            throw BackendError(
                .resourceExhausted,
                "host \(name) has \(available) MB of memory left, and machine \(spec.uuid) needs \(spec.memoryMB)"
            )
        }
        let answer = DestinationFacts(
            migration: UniqueID.make(),
            host: name,
            copiesDisks: options.copyStorage,
            version: facts.major * 1000 + facts.minor,
            accelerator: facts.accelerator,
            cpuVendor: facts.cpu.vendor,
            cpuFeatures: facts.accelerator == "kvm" ? facts.cpu.features : [],
            network: services.settings.network.rawValue,
            diskBus: services.settings.diskBus.rawValue,
            usesTLS: services.settings.migration.tls != nil
        )
        return [DestinationFacts.key: .object(answer.json)]
    }

    package func checkOutgoing(_ uuid: InstanceUUID, _ ticket: MigrationTicket) async throws -> MigrationTicket {
        try await perform("check of the migration", uuid) { machine in
            let destination = try DestinationFacts(ticket)
            guard destination.host != name else {
                throw BackendError(.invalidArgument, "machine \(uuid) is on host \(name) already")
            }
            let shares = ticket["shares_directory"]?.boolValue ?? false
            guard shares != destination.copiesDisks else {
                throw BackendError(
                    .invalidArgument,
                    shares
                        ? "host \(destination.host) sees the machine's disks: they are not to be copied"
                        : "host \(destination.host) does not see the machine's disks: they have to be copied"
                )
            }
            guard machine.record.process != nil else { throw machine.refusal("move") }
            let status = try await machine.status()
            guard let state = QEMUMachine.machineState(status), machine.record.task == nil else {
                throw machine.refusal("move")
            }
            let record = machine.record
            try await machine.checkVersion(destination)
            try checkLikeness(record, destination)
            let travelling = TravellingMachine(
                platform: record.platform,
                slots: record.slots,
                runs: state == .running,
                channels: settings.migration.channels,
                disks: destination.copiesDisks ? try await disksToCopy(record.spec) : []
            )
            var answer = ticket
            answer[TravellingMachine.key] = .object(travelling.json)
            return answer
        }
    }

    package func prepareIncoming(_ spec: MachineSpec, _ ticket: MigrationTicket) async throws -> MigrationTicket {
        let services = try services()
        try Self.check(spec)
        let destination = try DestinationFacts(ticket)
        let travelling = try TravellingMachine(ticket)
        guard destination.host == name else {
            throw BackendError(.invalidArgument, "the ticket is for host \(destination.host)")
        }
        if let present = try findAny(spec.uuid) {
            // Asked again: nothing is made anew, for the guest may have come.
            if let way = present.way(of: destination.migration) { return ticket.merging(way) }
            try await abandonIncoming(spec.uuid)
        }
        var record = MachineRecord(spec: spec, incarnation: newIncarnation(), platform: travelling.platform)
        record.slots = travelling.slots
        record.presence = .arriving(.init(migration: destination.migration, runs: travelling.runs))
        let machine = QEMUMachine(record, services)
        try inventory.withLock { state throws(BackendError) in
            guard state.machines[spec.uuid] == nil else {
                throw BackendError(.alreadyExists, "machine \(spec.uuid) exists already on host \(name)")
            }
            state.machines[spec.uuid] = machine
        }
        do {
            return try await machine.lane.run {
                try await machine.createFiles()
                let layers = try await makeDisks(spec, travelling.disks)
                let way = try await machine.openWay(travelling, layers: layers)
                return ticket.merging(way)
            }
        } catch {
            await unlessCancelled { try? await self.abandonIncoming(spec.uuid) }
            throw Self.backendError(error, "preparing for machine \(spec.uuid)")
        }
    }

    package func migrate(
        _ uuid: InstanceUUID,
        _ ticket: MigrationTicket,
        progress: @escaping @Sendable (MigrationProgress) async -> Void
    ) async throws {
        try await perform("migration", uuid) { machine in
            try await machine.leave(
                DestinationFacts(ticket),
                TravellingMachine(ticket),
                ArrivalWay(ticket),
                progress
            )
        }
    }

    package func finishIncoming(_ uuid: InstanceUUID) async throws {
        try await performAny("arrival", uuid) { machine in
            guard let machine, machine.presence != .departed else {
                throw BackendError(.notFound, "there is no machine \(uuid) on host \(name)")
            }
            try await machine.arrive()
        }
    }

    package func abandonIncoming(_ uuid: InstanceUUID) async throws {
        try await performAny("abandoning the arrival", uuid) { machine in
            guard let machine else { return }
            guard machine.presence.isArriving else {
                throw BackendError(.conflict, "machine \(uuid) is host \(name)'s: it cannot be abandoned")
            }
            try await remove(machine)
        }
    }

    package func finishOutgoing(_ uuid: InstanceUUID) async throws {
        try await performAny("end of the departure", uuid) { machine in
            guard let machine else { return }
            guard machine.presence == .departed else {
                throw BackendError(.invalidState, "machine \(uuid) has not left host \(name)")
            }
            try await remove(machine)
        }
    }

    package func takeBack(_ uuid: InstanceUUID) async throws {
        try await performAny("taking back", uuid) { machine in
            guard let machine, !machine.presence.isArriving else {
                throw BackendError(.notFound, "host \(name) has nothing of machine \(uuid) that could run")
            }
            try await machine.comeBack()
        }
    }

    // MARK: - Removal

    /// As ``perform(_:_:_:)``, for a machine whosever it is, or none.
    private func performAny(
        _ what: String,
        _ uuid: InstanceUUID,
        _ body: (QEMUMachine?) async throws -> Void
    ) async throws {
        do {
            guard let machine = try findAny(uuid) else { return try await body(nil) }
            try await machine.lane.run { try await body(machine) }
        } catch {
            throw Self.backendError(error, "\(what) of machine \(uuid)")
        }
    }

    /// Ends the QEMU of a machine that is not ours, and forgets it. Its disks stay.
    private func remove(_ machine: QEMUMachine) async throws {
        if let process = machine.process {
            machine.state.withLock { $0.ending = .undone }
            guard await machine.end(process, TimeLimit(settings.quitTimeout * 2)) else {
                throw BackendError(.timeout, "the QEMU of machine \(machine.uuid) does not end")
            }
            await machine.conclude(process)
        }
        try await machine.removeFiles()
        await drop(machine)
    }

    // MARK: - Likeness

    /// What a guest sees of its machine must be the same there.
    private func checkLikeness(_ record: MachineRecord, _ destination: DestinationFacts) throws(BackendError) {
        func refuse(_ reason: String) -> BackendError {
            BackendError(.invalidArgument, "host \(destination.host) \(reason)")
        }
        guard destination.accelerator == record.platform.accelerator else {
            throw refuse("runs guests with \(destination.accelerator), not \(record.platform.accelerator)")
        }
        if record.platform.cpuModel.split(separator: ",").first == "host" {
            let cpu = inventory.withLock { $0.facts?.cpu }
            guard let cpu, cpu.vendor == destination.cpuVendor else {
                throw refuse("has a processor of \(destination.cpuVendor)")
            }
            let missing = Set(cpu.features).subtracting(destination.cpuFeatures).sorted()
            guard missing.isEmpty else {
                throw refuse("lacks features of this processor: \(missing.prefix(8).joined(separator: " "))")
            }
        }
        if !record.spec.interfaces.isEmpty, destination.network != settings.network.rawValue {
            throw refuse("connects interfaces by \(destination.network), this one by \(settings.network.rawValue)")
        }
        if record.spec.disks.contains(where: { $0.address.bus == .ide }),
            destination.diskBus != settings.diskBus.rawValue
        {
            throw refuse("puts disks on \(destination.diskBus), this one on \(settings.diskBus.rawValue)")
        }
        try MigrationCertificates.agree(ours: settings.migration.tls, theirs: destination.usesTLS)
    }
}

extension MigrationTicket {
    fileprivate func merging(_ way: ArrivalWay) -> MigrationTicket {
        var ticket = self
        ticket[ArrivalWay.key] = .object(way.json)
        return ticket
    }
}
