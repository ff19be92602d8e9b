import HostBackend
import OsloMessaging
import Support
import VMOps

extension DriverMethods {
    var power: [RemoteMethod] {
        [
            simple("power_on") { try await $0.powerOn($1, $2) },
            simple("pause") { try await $0.pause($1, $2) },
            simple("unpause") { try await $0.unpause($1, $2) },
            simple("suspend") { try await $0.suspend($1, $2) },
            simple("resume") { try await $0.resume($1, $2) },
            mutating(
                "power_off",
                [.required("instance"), .optional("timeout"), .optional("retry_interval")]
            ) { [operations] arguments, context in
                let uuid = try InstanceArgument(arguments).resolve(operations)
                let info = try await operations.powerOff(
                    uuid,
                    timeout: try arguments.seconds("timeout"),
                    interval: try arguments.seconds("retry_interval"),
                    context
                )
                return Results.info(info)
            },
            mutating(
                "reboot",
                [
                    .required("instance"), .optional("reboot_type"), .optional("network_info"),
                    .optional("block_device_info"),
                ]
            ) { [operations] arguments, context in
                let uuid = try InstanceArgument(arguments).resolve(operations)
                let type = try arguments.string("reboot_type") ?? "SOFT"
                guard type == "SOFT" || type == "HARD" else {
                    throw Field("reboot_type", .string(type)).invalid("must be SOFT or HARD")
                }
                return Results.info(try await operations.reboot(uuid, soft: type == "SOFT", context))
            },
        ]
    }

    /// A method with no argument but the instance; what else Nova's driver interface passes is accepted.
    private func simple(
        _ name: String,
        _ operation: @escaping @Sendable (VMOps, InstanceUUID, OperationContext) async throws -> InstanceInfo
    ) -> RemoteMethod {
        let parameters: [Parameter] = [
            .required("instance"), .optional("network_info"), .optional("block_device_info"),
        ]
        return mutating(name, parameters) { [operations] arguments, context in
            let uuid = try InstanceArgument(arguments).resolve(operations)
            return Results.info(try await operation(operations, uuid, context))
        }
    }
}
