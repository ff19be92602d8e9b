package import HostBackend
import Support
import Synchronization

/// A machine that runs on one host, and a second host that it can move to.
package struct MigrationPair: Sendable {
    package let source: any ConformanceSubject
    package let destination: any ConformanceSubject
    package let spec: MachineSpec
    /// The machine as the destination is to have it.
    package let there: MachineSpec
    package let copiesDisks: Bool

    /// Runs `body` with a pair; whatever comes of it, the machine is on neither host afterwards.
    ///
    /// - Parameter sharing: whether the hosts see one directory of instances; `nil` = only if they have to, because the
    ///   host does not copy disks.
    /// - Throws: ``CheckSkipped`` when there is no second host to try with.
    package static func run(
        _ subject: any ConformanceSubject,
        _ name: String,
        sharing: Bool? = nil,
        _ body: (MigrationPair) async throws -> Void
    ) async throws {
        let sharing = sharing ?? !subject.host.capabilities.has(.liveStorageMigration)
        let destination = try await subject.destination(sharing: sharing)
        let spec = try await subject.newSpec(name)
        do {
            let there = try await destination.arriving(spec)
            let pair = MigrationPair(
                source: subject,
                destination: destination,
                spec: spec,
                there: there,
                copiesDisks: !sharing
            )
            try await subject.host.createMachine(spec)
            try await subject.reach(.running, spec)
            try await body(pair)
        } catch {
            // What went wrong first is what counts.
            try? await destination.host.deleteMachine(spec.uuid)
            try? await destination.host.abandonIncoming(spec.uuid)
            try? await subject.host.deleteMachine(spec.uuid)
            await destination.end()
            throw error
        }
        try await destination.host.deleteMachine(spec.uuid)
        try await subject.host.deleteMachine(spec.uuid)
        await destination.end()
    }

    package var uuid: InstanceUUID { spec.uuid }

    /// Asks both hosts whether the machine could move, and adds what the worker adds.
    package func agree() async throws -> MigrationTicket {
        let options = MigrationOptions(copyStorage: copiesDisks, destination: destination.address)
        var ticket = try await destination.host.checkIncoming(there, options)
        ticket["shares_directory"] = .bool(!copiesDisks)
        return try await source.host.checkOutgoing(uuid, ticket)
    }

    /// Both agree, and the destination waits.
    package func prepare() async throws -> MigrationTicket {
        let ticket = try await destination.host.prepareIncoming(there, try await agree())
        let listed = try await destination.host.machines().contains { $0.uuid == uuid }
        try check(!listed, "a machine that is awaited is not listed", seen: "it is")
        return ticket
    }

    /// Moves the machine, and checks that it is where it has to be.
    package func move(_ ticket: MigrationTicket, _ state: MachineState = .running) async throws {
        let phases = MigrationPhases()
        try await source.host.migrate(uuid, ticket) { phases.add($0) }
        try phases.check()
        try await checkFails(.notFound, what: "machine.get of a machine that has left") {
            _ = try await source.host.machine(uuid)
        }
        try await finish(state)
    }

    /// The ends of a migration, each twice: the word may have been lost.
    package func finish(_ state: MachineState = .running) async throws {
        for _ in 1...2 { try await destination.host.finishIncoming(uuid) }
        for _ in 1...2 { try await source.host.finishOutgoing(uuid) }
        try checkEqual(try await destination.host.machine(uuid).state, state, "the state at the destination")
        let entries = try await destination.host.machines().filter { $0.uuid == uuid }
        try checkEqual(entries.map(\.name), [spec.name], "entries in the destination's inventory")
        let left = try await source.host.machines().contains { $0.uuid == uuid }
        try check(!left, "the machine is not listed at the source any more", seen: "it is")
    }

    /// It runs at the source, and nothing of it is left at the destination.
    package func checkStayed(_ state: MachineState = .running) async throws {
        try checkEqual(try await source.host.machine(uuid).state, state, "the state at the source")
        for _ in 1...2 { try await destination.host.abandonIncoming(uuid) }
        try await checkFails(.notFound, what: "machine.get at the destination") {
            _ = try await destination.host.machine(uuid)
        }
        let listed = try await destination.host.machines().contains { $0.uuid == uuid }
        try check(!listed, "nothing of the machine at the destination", seen: "it is listed")
        try checkEqual(try await source.host.machine(uuid).state, state, "the state at the source")
    }
}

extension MachineSpec {
    /// The same machine with its files in another directory.
    package func moved(to directory: String) -> MachineSpec {
        var spec = self
        spec.directory = directory
        for index in spec.disks.indices where spec.disks[index].path.hasPrefix(self.directory + "/") {
            spec.disks[index].path = directory + spec.disks[index].path.dropFirst(self.directory.count)
        }
        return spec
    }
}

/// The phases of a migration as they were told.
package final class MigrationPhases: Sendable {
    private let all = Mutex<[MigrationProgress.Phase]>([])

    package init() {}

    package func add(_ progress: MigrationProgress) { all.withLock { $0.append(progress.phase) } }

    package var isEmpty: Bool { all.withLock { $0.isEmpty } }

    /// Each is told in its turn, or left out; the last one always.
    func check() throws(CheckFailure) {
        let order: [MigrationProgress.Phase] = [.setup, .precopy, .switchover, .completed]
        let seen = all.withLock { $0 }
        let places = seen.compactMap { order.firstIndex(of: $0) }
        let text = seen.map(\.rawValue).joined(separator: ", ")
        try HostConformance.check(places == places.sorted(), "phases in their order", seen: text)
        try checkValue(seen.last, .completed, "the last phase told")
    }
}
