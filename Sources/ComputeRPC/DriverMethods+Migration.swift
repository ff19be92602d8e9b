import HostBackend
import OsloMessaging
import Support
import VMOps

extension DriverMethods {
    /// What may be a host's name, which is part of the name of its queue.
    static func hostName(_ field: Field) throws -> String {
        let name = try field.string(limit: 255)
        let isClean = name.unicodeScalars.allSatisfy { scalar in
            let category = scalar.properties.generalCategory
            return category != .control && category != .spaceSeparator && !"/,*#".unicodeScalars.contains(scalar)
        }
        guard isClean, !name.isEmpty else { throw field.invalid("is not the name of a host") }
        return name
    }

    var migration: [RemoteMethod] {
        [
            mutating(
                "live_migration",
                [
                    .required("instance"), .required("dest"), .optional("block_migration"),
                    .optional("migrate_data"),
                ]
            ) { [operations] arguments, context in
                let uuid = try InstanceArgument(arguments).resolve(operations)
                let destination = try Self.hostName(Field("dest", arguments.values["dest"] ?? .null))
                let info = try await operations.liveMigrate(
                    uuid,
                    to: destination,
                    copyStorage: try arguments["block_migration"].map { try Field("block_migration", $0).bool() },
                    context
                )
                return Results.info(info)
            },
            // Nothing to finish after a crash: it either reached the migration in progress or there is none.
            reading("abort_live_migration", [.required("instance")]) { [operations] arguments in
                try operations.abortLiveMigration(try InstanceArgument(arguments).resolve(operations))
                return .null
            },
            mutating("give_up_live_migration", [.required("instance"), .optional("run_here")]) {
                [operations] arguments, context in
                let instance = try InstanceArgument(arguments)
                let departed = try instance.name().flatMap { operations.findDeparted($0) }
                let info = try await operations.giveUpMigration(
                    try instance.uuid() ?? departed ?? instance.resolve(operations),
                    runHere: try arguments.bool("run_here", default: false),
                    context
                )
                return info.map(Results.info) ?? .null
            },
        ]
    }
}
