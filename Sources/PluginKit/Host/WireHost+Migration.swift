import HostBackend
import HostConformance
import Support

extension WireHost {
    /// For a whole migration, on a loaded machine.
    private static let migrationLimit = Duration.seconds(180)

    func checkIncoming(_ spec: MachineSpec, _ options: MigrationOptions) async throws -> MigrationTicket {
        let params: JSONObject = [
            "spec": .object(spec.record), "copy_storage": .bool(options.copyStorage),
            "destination": .string(options.destination),
        ]
        return try Self.ticket(try await call("migrate.checkIncoming", params), "migrate.checkIncoming")
    }

    func checkOutgoing(_ uuid: InstanceUUID, _ ticket: MigrationTicket) async throws -> MigrationTicket {
        let params: JSONObject = ["uuid": .string(uuid.text), "ticket": .object(ticket)]
        return try Self.ticket(try await call("migrate.checkOutgoing", params), "migrate.checkOutgoing")
    }

    func prepareIncoming(_ spec: MachineSpec, _ ticket: MigrationTicket) async throws -> MigrationTicket {
        let params: JSONObject = ["spec": .object(spec.record), "ticket": .object(ticket)]
        return try Self.ticket(try await call("migrate.prepareIncoming", params), "migrate.prepareIncoming")
    }

    func migrate(
        _ uuid: InstanceUUID,
        _ ticket: MigrationTicket,
        progress: @escaping @Sendable (MigrationProgress) async -> Void
    ) async throws {
        let params: JSONObject = ["uuid": .string(uuid.text), "ticket": .object(ticket)]
        _ = try await call("migrate.start", params, deadline: Self.migrationLimit) { report in
            await progress(try Self.progress(report))
        }
    }

    func finishIncoming(_ uuid: InstanceUUID) async throws { _ = try await call("migrate.finishIncoming", uuid) }
    func abandonIncoming(_ uuid: InstanceUUID) async throws { _ = try await call("migrate.abandonIncoming", uuid) }
    func finishOutgoing(_ uuid: InstanceUUID) async throws { _ = try await call("migrate.finishOutgoing", uuid) }
    func takeBack(_ uuid: InstanceUUID) async throws { _ = try await call("migrate.takeBack", uuid) }

    private static func ticket(_ answer: JSONObject, _ method: String) throws -> MigrationTicket {
        guard let ticket = answer["ticket"]?.objectValue else {
            throw CheckFailure(expected: "\(method) has the ticket, an object", seen: WireText.short(answer))
        }
        return ticket
    }

    private static func progress(_ report: JSONObject) throws -> MigrationProgress {
        guard let phase = report["phase"]?.stringValue.flatMap(MigrationProgress.Phase.init(rawValue:)),
            let transferred = report["transferred_bytes"]?.intValue, transferred >= 0,
            let remaining = report["remaining_bytes"]?.intValue, remaining >= 0
        else {
            throw CheckFailure(
                expected: "progress with phase, transferred_bytes and remaining_bytes",
                seen: WireText.short(report)
            )
        }
        return MigrationProgress(
            phase: phase,
            transferredBytes: UInt64(transferred),
            remainingBytes: UInt64(remaining)
        )
    }
}
