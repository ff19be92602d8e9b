package import HostBackend
import PluginProtocol
import Support

extension PluginHost {
    package func checkIncoming(_ spec: MachineSpec, _ options: MigrationOptions) async throws -> MigrationTicket {
        if options.copyStorage, !capabilities.has(.liveStorageMigration) {
            throw BackendError.unsupported("live migration with its disks")
        }
        return try await ask(
            .migrateCheckIncoming,
            [
                "spec": .object(spec.record), "copy_storage": .bool(options.copyStorage),
                "destination": .string(options.destination),
            ]
        ).object("ticket")
    }

    package func checkOutgoing(_ uuid: InstanceUUID, _ ticket: MigrationTicket) async throws -> MigrationTicket {
        try await ask(.migrateCheckOutgoing, params(uuid, ticket)).object("ticket")
    }

    package func prepareIncoming(_ spec: MachineSpec, _ ticket: MigrationTicket) async throws -> MigrationTicket {
        try await share(spec.directory)
        // Whatever was read here before is not of this machine's life here.
        consoles.forget(spec.uuid)
        let params: JSONObject = ["spec": .object(spec.record), "ticket": .object(ticket)]
        return try await ask(.migratePrepareIncoming, params, deadline: settings.requestTimeout * 60).object("ticket")
    }

    package func migrate(
        _ uuid: InstanceUUID,
        _ ticket: MigrationTicket,
        progress: @escaping @Sendable (MigrationProgress) async -> Void
    ) async throws {
        let (reports, sink) = AsyncStream.makeStream(of: JSONObject.self, bufferingPolicy: .bufferingNewest(64))
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask {
                for await report in reports {
                    let members = PluginMembers(report, of: "the plugin's progress", code: .internal)
                    // A report that makes no sense is no reason to end a migration.
                    if let now = try? MigrationProgress(members) { await progress(now) }
                }
            }
            // Finishes the reports, whatever comes of it.
            defer { sink.finish() }
            _ = try await ask(.migrateStart, params(uuid, ticket), isEndless: true, progress: sink)
            sink.finish()
            try await group.waitForAll()
        }
    }

    package func finishIncoming(_ uuid: InstanceUUID) async throws {
        _ = try await ask(.migrateFinishIncoming, uuid.params)
    }

    package func abandonIncoming(_ uuid: InstanceUUID) async throws {
        guard capabilities.has(.liveMigration) else { return }
        _ = try await ask(.migrateAbandonIncoming, uuid.params)
    }

    package func finishOutgoing(_ uuid: InstanceUUID) async throws {
        guard capabilities.has(.liveMigration) else { return }
        _ = try await ask(.migrateFinishOutgoing, uuid.params)
        consoles.forget(uuid)
    }

    package func takeBack(_ uuid: InstanceUUID) async throws {
        _ = try await ask(.migrateTakeBack, uuid.params)
    }

    private func params(_ uuid: InstanceUUID, _ ticket: MigrationTicket) -> JSONObject {
        var params = uuid.params
        params["ticket"] = .object(ticket)
        return params
    }
}
