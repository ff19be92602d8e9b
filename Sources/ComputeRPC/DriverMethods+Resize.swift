import HostBackend
import OsloMessaging
import Support
import VMOps

/// Cold migration and resize: what clients ask for, and what hosts ask each other for it.
extension DriverMethods {
    var resize: [RemoteMethod] {
        [
            mutating(
                "resize_instance",
                [
                    .required("instance"), .optional("dest"), .optional("flavor"), .optional("timeout"),
                    .optional("retry_interval"), .optional("power_on"),
                ]
            ) { [operations] arguments, context in
                let uuid = try InstanceArgument(arguments).resolve(operations)
                return Results.info(try await operations.resize(uuid, Self.resizeRequest(arguments), context))
            },
            mutating("confirm_resize", [.required("instance")]) { [operations] arguments, context in
                let uuid = try InstanceArgument(arguments).resolve(operations)
                return Results.info(try await operations.confirmResize(uuid, context))
            },
            mutating("evacuate_instance", [.required("instance"), .optional("power_on")]) {
                [operations] arguments, context in
                let instance = try InstanceArgument(arguments)
                let name = try instance.name()
                var uuid = try instance.uuid()
                if uuid == nil { uuid = try await operations.storedInstances(of: nil).first { $0.name == name }?.uuid }
                guard let uuid else { throw OperationError.notFound(name ?? "") }
                let powerOn = try arguments["power_on"].map { try Field("power_on", $0).bool() }
                return Results.info(try await operations.evacuate(uuid, powerOn: powerOn, context))
            },
            reading("list_stored_instances", [.optional("owner")]) { [operations] arguments in
                let owner = try arguments.string("owner")
                return .array(
                    try await operations.storedInstances(of: owner).map { stored in
                        [
                            "uuid": .string(stored.uuid.text), "name": .string(stored.name),
                            "host": .string(stored.owner),
                        ]
                    }
                )
            },
            mutating("revert_resize", [.required("instance")]) { [operations] arguments, context in
                let uuid = try InstanceArgument(arguments).resolve(operations)
                return Results.info(try await operations.revertResize(uuid, context))
            },
        ]
    }

    private static func resizeRequest(_ arguments: Arguments) throws -> ResizeRequest {
        let flavor = arguments["flavor"].map { Field("flavor", $0) }
        _ = try flavor?.object()
        func member(_ key: String, _ range: ClosedRange<Int>) throws -> Int? {
            try flavor?.member(key)?.integer(in: range)
        }
        return ResizeRequest(
            destination: try arguments["dest"].map { try hostName(Field("dest", $0)) },
            memoryMB: try member("memory_mb", 1...16_777_216),
            vcpus: try member("vcpus", 1...4096),
            rootGB: try member("root_gb", 0...1_048_576),
            ephemeralGB: try member("ephemeral_gb", 0...1_048_576),
            powerOn: try arguments["power_on"].map { try Field("power_on", $0).bool() },
            timeout: try arguments.seconds("timeout"),
            interval: try arguments.seconds("retry_interval")
        )
    }

    var resizeSteps: [RemoteMethod] {
        [
            reading("check_can_resize_destination", [.required("instance"), .required("migrate_data")]) {
                [operations] arguments in
                let migration = try MigrationMessages.migration(arguments.migrateData, for: arguments.uuid())
                return .object(try await operations.checkResize(migration))
            },
            mutating("prep_resize", [.required("instance"), .required("migrate_data")]) {
                [operations] arguments, _ in
                let data = arguments.migrateData
                let migration = try MigrationMessages.migration(data, for: arguments.uuid())
                return .object(try await operations.prepareResize(migration, try MigrationMessages.ticket(data)))
            },
            mutating("build_resize", [.required("instance"), .required("migrate_data")]) {
                [operations] arguments, _ in
                let transfer = try MigrationMessages.transfer(arguments.migrateData)
                try await operations.buildResize(try arguments.uuid(), transfer: transfer)
                return .null
            },
            mutating("finish_confirm_resize", [.required("instance"), .required("migrate_data")]) {
                [operations] arguments, _ in
                let transfer = try MigrationMessages.transfer(arguments.migrateData)
                try await operations.confirmOutgoing(try arguments.uuid(), transfer: transfer)
                return .null
            },
            mutating("finish_revert_resize", [.required("instance"), .required("migrate_data")]) {
                [operations] arguments, _ in
                let transfer = try MigrationMessages.transfer(arguments.migrateData)
                return Results.info(try await operations.revertOutgoing(try arguments.uuid(), transfer: transfer))
            },
        ]
    }
}
