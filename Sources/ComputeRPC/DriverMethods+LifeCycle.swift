import HostBackend
import OsloMessaging
import Support
import VMOps

extension DriverMethods {
    var lifeCycle: [RemoteMethod] {
        [
            mutating(
                "spawn",
                [
                    .required("instance"), .optional("image_meta"), .optional("injected_files"),
                    .optional("admin_password"), .optional("network_info"), .optional("block_device_info"),
                    .optional("power_on"),
                ],
                spawn
            ),
            mutating(
                "destroy",
                [
                    .required("instance"), .optional("network_info"), .optional("block_device_info"),
                    .optional("destroy_disks"),
                ]
            ) { [operations] arguments, context in
                let instance = try InstanceArgument(arguments)
                let blockDevices = arguments["block_device_info"].map { Field("block_device_info", $0) }
                try await operations.destroy(
                    try instance.resolve(operations),
                    interfaces: try arguments.interfaces(),
                    volumes: try DeviceArguments.volumes(blockDevices),
                    destroyDisks: try arguments.bool("destroy_disks", default: true),
                    context
                )
                return .null
            },
            mutating("snapshot", [.required("instance"), .required("image_id")]) { [operations] arguments, context in
                let uuid = try InstanceArgument(arguments).resolve(operations)
                let image = try DeviceArguments.identifier(
                    Field("image_id", arguments.values["image_id"] ?? .null)
                )
                let disk = try await operations.snapshot(uuid, image: image, context)
                return [
                    "image_id": .string(image),
                    "format": .string(disk.format),
                    "virtual_size": Results.count(disk.virtualSize),
                ]
            },
        ]
    }

    @Sendable
    private func spawn(_ arguments: Arguments, _ context: OperationContext) async throws -> JSONValue {
        let instance = try InstanceArgument(arguments)
        var request = try instance.spawnRequest()
        if let meta = try ImageMetaArgument(arguments) {
            request.imageRef = try request.imageRef ?? meta.id()
            request.imageDetails = try meta.details()
        }
        request.interfaces = try arguments.interfaces()
        let blockDevices = arguments["block_device_info"].map { Field("block_device_info", $0) }
        request.volumes = try DeviceArguments.volumes(blockDevices)
        if let sizes = try DeviceArguments.ephemerals(blockDevices) { request.ephemeralGB = sizes }
        request.powerOn = try arguments.bool("power_on", default: true)
        let injected = try InjectedFiles.list(arguments["injected_files"].map { Field("injected_files", $0) })
        let password = try arguments.string("admin_password")
        if request.configDrive || operations.settings.forceConfigDrive {
            let content = ConfigDriveContent(
                uuid: request.uuid,
                name: request.name,
                metadata: request.metadata,
                interfaces: request.interfaces,
                injectedFiles: injected,
                adminPassword: injectsPasswords() ? password : nil
            )
            request.configDriveFiles = Redacted(try content.files())
        }
        return Results.info(try await operations.spawn(request, context))
    }
}

extension Arguments {
    func interfaces() throws -> [NetworkInterface] {
        try DeviceArguments.interfaces(self["network_info"].map { Field("network_info", $0) })
    }
}
