import HostBackend
import OsloMessaging
import Support
import VMOps

extension DriverMethods {
    var devices: [RemoteMethod] {
        let volume: [Parameter] = [
            .required("instance"), .required("connection_info"), .optional("mountpoint"),
        ]
        return [
            mutating("attach_volume", volume) { [operations] arguments, context in
                let uuid = try InstanceArgument(arguments).resolve(operations)
                try await operations.attachVolume(uuid, try Self.volume(arguments), context)
                return .null
            },
            mutating("detach_volume", volume) { [operations] arguments, context in
                let uuid = try InstanceArgument(arguments).resolve(operations)
                try await operations.detachVolume(uuid, try Self.volume(arguments), context)
                return .null
            },
            mutating("attach_interface", [.required("instance"), .required("vif")]) {
                [operations] arguments, context in
                let uuid = try InstanceArgument(arguments).resolve(operations)
                let interface = try DeviceArguments.interface(Field("vif", arguments.values["vif"] ?? .null))
                try await operations.attachInterface(uuid, interface, context)
                return .null
            },
            mutating("detach_interface", [.required("instance"), .required("vif")]) {
                [operations] arguments, context in
                let uuid = try InstanceArgument(arguments).resolve(operations)
                let vif = Field("vif", arguments.values["vif"] ?? .null)
                guard let id = vif.member("id") else { throw vif.invalid("needs id") }
                try await operations.detachInterface(uuid, id: try DeviceArguments.identifier(id), context)
                return .null
            },
        ]
    }

    private static func volume(_ arguments: Arguments) throws -> VolumeConnection {
        try DeviceArguments.volume(
            Field("connection_info", arguments.values["connection_info"] ?? .null),
            mountDevice: try arguments["mountpoint"].map { try DeviceArguments.deviceName(Field("mountpoint", $0)) },
            isBootVolume: false
        )
    }
}
