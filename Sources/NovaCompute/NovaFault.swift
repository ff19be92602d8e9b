import OsloMessaging
import Support

/// Exceptions of `nova.exception` that nothing but Nova's own interface raises; its API turns each into a status of its
/// own (Nova's compute RPC, chapter 8).
enum NovaFault {
    private static let badRequest: Int64 = 400
    private static let forbidden: Int64 = 403
    private static let notFound: Int64 = 404
    private static let conflict: Int64 = 409
    private static let fault: Int64 = 500

    private static func make(
        _ className: String,
        _ code: Int64,
        _ message: String,
        _ details: KeyValuePairs<String, String> = [:]
    ) -> RemoteFailure {
        var kwargs = JSONObject(details.map { ($0.key, JSONValue.string($0.value)) })
        kwargs["code"] = .int(code)
        return RemoteFailure(
            className: className,
            module: "nova.exception",
            message: message,
            args: [.string(message)],
            kwargs: kwargs
        )
    }

    // MARK: - Ports

    static func attachNotSupported(_ instance: String, _ reason: String) -> RemoteFailure {
        let message = "Attaching interfaces is not supported for instance \(instance): \(reason)."
        return make("AttachInterfaceNotSupported", badRequest, message, ["instance_uuid": instance])
    }

    static var taggedInterface: RemoteFailure {
        make(
            "NetworkInterfaceTaggedAttachNotSupported",
            badRequest,
            "Tagged network interface attachment is not supported for this server instance."
        )
    }

    static func attachFailed(_ instance: String, _ reason: String) -> RemoteFailure {
        let message = "Failed to attach network adapter device to \(instance): \(reason)"
        return make("InterfaceAttachFailed", fault, message, ["instance_uuid": instance])
    }

    static func detachFailed(_ instance: String, _ reason: String) -> RemoteFailure {
        let message = "Failed to detach network adapter device from \(instance): \(reason)"
        return make("InterfaceDetachFailed", badRequest, message, ["instance_uuid": instance])
    }

    static func portNotFound(_ port: String) -> RemoteFailure {
        make("PortNotFound", notFound, "Port id \(port) could not be found.", ["port_id": port])
    }

    static func portNotAttached(_ port: String) -> RemoteFailure {
        make("PortNotFound", notFound, "Port \(port) is not attached", ["port_id": port])
    }

    static func portInUse(_ port: String) -> RemoteFailure {
        make("PortInUse", badRequest, "Port \(port) is still in use.", ["port_id": port])
    }

    static var portLimit: RemoteFailure {
        make("PortLimitExceeded", forbidden, "Maximum number of ports exceeded")
    }

    static func securityGroupNotFound(_ name: String) -> RemoteFailure {
        let message = "Security group \(name) not found."
        return make("SecurityGroupNotFound", notFound, message, ["security_group_id": name])
    }

    static func networkNotFound(_ network: String) -> RemoteFailure {
        make("NetworkNotFound", notFound, "Network \(network) could not be found.", ["network_id": network])
    }

    static func noNetwork(_ project: String) -> RemoteFailure {
        let message = "No specific network was requested and none are available for project '\(project)'."
        return make("InterfaceAttachFailedNoNetwork", badRequest, message, ["project_id": project])
    }

    static var ambiguousNetwork: RemoteFailure {
        make(
            "NetworkAmbiguous",
            badRequest,
            "More than one possible network found. Specify network ID(s) to select which one(s) to connect to."
        )
    }

    static func addressInUse(_ address: String, _ instance: String) -> RemoteFailure {
        make(
            "FixedIpAlreadyInUse",
            fault,
            "Fixed IP address \(address) is already in use on instance \(instance).",
            ["address": address, "instance_uuid": instance]
        )
    }

    static func noAddress(_ network: String) -> RemoteFailure {
        make("NoMoreFixedIps", fault, "No fixed IP addresses available for network: \(network)", ["net": network])
    }

    // MARK: - Volumes

    static var taggedVolume: RemoteFailure {
        make(
            "VolumeTaggedAttachNotSupported",
            badRequest,
            "Tagged volume attachment is not supported for this server instance."
        )
    }

    static func multiattach(_ volume: String) -> RemoteFailure {
        make(
            "MultiattachNotSupportedByVirtDriver",
            badRequest,
            "Volume \(volume) has 'multiattach' set, which is not supported for this instance.",
            ["volume_id": volume]
        )
    }

    static func invalidVolume(_ reason: String) -> RemoteFailure {
        make("InvalidVolume", badRequest, "Invalid volume: \(reason)", ["reason": reason])
    }

    static func volumeNotAttached(_ volume: String) -> RemoteFailure {
        make(
            "VolumeBDMNotFound",
            notFound,
            "No volume Block Device Mapping with id \(volume).",
            ["volume_id": volume]
        )
    }

    static func invalidDevice(_ path: String) -> RemoteFailure {
        make("InvalidDevicePath", badRequest, "The supplied device path (\(path)) is invalid.", ["path": path])
    }

    static func deviceInUse(_ path: String) -> RemoteFailure {
        make("DevicePathInUse", conflict, "The supplied device path (\(path)) is in use.", ["path": path])
    }

    static func tooManyDevices(_ maximum: Int) -> RemoteFailure {
        make(
            "TooManyDiskDevices",
            forbidden,
            "The maximum allowed number of disk devices (\(maximum)) to attach to a single instance has been exceeded.",
            ["maximum": String(maximum)]
        )
    }
}
