import Console
import HostBackend
import OsloMessaging
import Support
import VMOps

/// What hosts ask each other in a migration; nobody else has a reason to. Operators can close them to others with
/// `[limits] allowed_methods` and the broker's permissions.
extension DriverMethods {
    /// The names, for an allow-list.
    package static let peerMethods = [
        "check_can_live_migrate_destination", "check_can_live_migrate_source", "pre_live_migration",
        "post_live_migration_at_destination", "rollback_live_migration_at_destination", "knows_live_migration",
        "console_transfer_prepare", "console_transfer_receive", "console_transfer_install",
        "check_can_resize_destination", "prep_resize", "build_resize", "finish_confirm_resize", "finish_revert_resize",
    ]

    var migrationPeer: [RemoteMethod] { migrationChecks + migrationSteps + consoleTransfer + resizeSteps }

    private var migrationChecks: [RemoteMethod] {
        [
            reading("check_can_live_migrate_destination", [.required("instance"), .required("migrate_data")]) {
                [operations] arguments in
                let data = arguments.migrateData
                let migration = try MigrationMessages.migration(data, for: InstanceArgument(arguments).uuid())
                return .object(try await operations.checkIncoming(migration))
            },
            reading("check_can_live_migrate_source", [.required("instance"), .required("dest_check_data")]) {
                [operations] arguments in
                let uuid = try InstanceArgument(arguments).resolve(operations)
                let ticket = try Field("dest_check_data", arguments.values["dest_check_data"] ?? .null).object()
                return .object(try await operations.checkOutgoing(uuid, ticket))
            },
            reading("knows_live_migration", [.required("instance"), .required("migrate_data")]) {
                [operations] arguments in
                let transfer = try MigrationMessages.transfer(arguments.migrateData)
                return .bool(try await operations.knowsOutgoing(try arguments.uuid(), transfer: transfer))
            },
        ]
    }

    private var migrationSteps: [RemoteMethod] {
        [
            mutating("pre_live_migration", [.required("instance"), .required("migrate_data")]) {
                [operations] arguments, _ in
                let data = arguments.migrateData
                let migration = try MigrationMessages.migration(data, for: InstanceArgument(arguments).uuid())
                return .object(
                    try await operations.prepareIncoming(migration, try MigrationMessages.ticket(data))
                )
            },
            mutating("post_live_migration_at_destination", [.required("instance"), .required("migrate_data")]) {
                [operations] arguments, _ in
                let transfer = try MigrationMessages.transfer(arguments.migrateData)
                return Results.info(try await operations.finishIncoming(try arguments.uuid(), transfer: transfer))
            },
            mutating("rollback_live_migration_at_destination", [.required("instance"), .required("migrate_data")]) {
                [operations] arguments, _ in
                let transfer = try MigrationMessages.transfer(arguments.migrateData)
                try await operations.abandonIncoming(try arguments.uuid(), transfer: transfer)
                return .null
            },
        ]
    }

    /// The sender repeats each until it is answered, so only the last, which changes what readers see, is journalled.
    private var consoleTransfer: [RemoteMethod] {
        [
            reading("console_transfer_prepare", [.required("instance"), .required("transfer")]) {
                [operations] arguments in
                let log = operations.consoleDestination(try arguments.uuid())
                return MigrationMessages.incoming(try await log.prepareIncoming(transfer: try arguments.transfer()))
            },
            reading(
                "console_transfer_receive",
                [
                    .required("instance"), .required("transfer"), .required("data"), .required("offset"),
                    .required("checksum"), .required("first_offset"), .required("end_offset"),
                ]
            ) { [operations] arguments in
                let log = operations.consoleDestination(try arguments.uuid())
                let chunk = try MigrationMessages.chunk(arguments)
                return .int(try await log.receive(chunk, transfer: try arguments.transfer()))
            },
            mutating(
                "console_transfer_install",
                [
                    .required("instance"), .required("transfer"), .required("first_offset"), .required("end_offset"),
                    .required("marks"),
                ]
            ) { [operations] arguments, _ in
                let log = operations.consoleDestination(try arguments.uuid())
                try await log.install(MigrationMessages.seal(arguments), transfer: try arguments.transfer())
                return .null
            },
        ]
    }
}

extension Arguments {
    var migrateData: Field { Field("migrate_data", values["migrate_data"] ?? .null) }

    func transfer() throws -> String {
        try DeviceArguments.identifier(Field("transfer", values["transfer"] ?? .null))
    }

    /// The instance's uuid; hosts name no instance otherwise.
    func uuid() throws -> InstanceUUID {
        guard let uuid = try InstanceArgument(self).uuid() else {
            throw Field("instance", values["instance"] ?? .null).invalid("needs uuid")
        }
        return uuid
    }
}
