import HostBackend
import OsloMessaging
import Support
import VMOps

extension DriverMethods {
    var queries: [RemoteMethod] {
        [
            inline("ping", []) { [operations, identity] _ in
                let load = operations.load
                return [
                    "host": .string(identity.host),
                    "backend": .string(identity.backend),
                    "version": .string(identity.version),
                    "instances": .int(Int64(load.instances)),
                    "operations": .int(Int64(load.operations)),
                ]
            },
            immediate("get_info", [.required("instance")]) { [operations] arguments in
                let uuid = try InstanceArgument(arguments).resolve(operations)
                guard let info = try operations.infoIfKnown(uuid) else { return nil }
                return Results.info(info)
            } waiting: { [operations] arguments in
                let uuid = try InstanceArgument(arguments).resolve(operations)
                return Results.info(try await operations.info(uuid))
            },
            reading("list_instances", []) { [operations] _ in
                .array(try await operations.listInstances().map(JSONValue.string))
            },
            reading("list_instance_uuids", []) { [operations] _ in
                .array(try await operations.listInstanceUUIDs().map { .string($0.text) })
            },
            reading("list_instance_infos", []) { [operations] _ in
                .array(try await operations.allInfos().map(Results.info))
            },
            reading("get_available_resource", []) { [operations] _ in
                try Results.resources(try await operations.hostInfo())
            },
            reading("get_host_uptime", []) { _ in .string(try await HostUptime.line()) },
            inline("get_capabilities", []) { [operations] _ in
                Results.capabilities(operations.backend.capabilities)
            },
            reading("get_diagnostics", [.required("instance")]) { [operations] arguments in
                let uuid = try InstanceArgument(arguments).resolve(operations)
                return .object(try await operations.diagnostics(uuid))
            },
        ]
    }
}
