package import Support

/// What spawn needs to know.
package struct SpawnOptions: Sendable {
    package var name: String
    package var uuid: String
    package var image: String?
    package var memoryMB: Int
    package var vcpus: Int
    package var rootGB: Int
    package var metadata: [String: String]

    package init(
        name: String,
        uuid: String? = nil,
        image: String? = nil,
        memoryMB: Int = 512,
        vcpus: Int = 1,
        rootGB: Int = 1,
        metadata: [String: String] = [:]
    ) {
        self.name = name
        self.uuid = uuid?.lowercased() ?? UniqueID.makeDashed()
        self.image = image
        self.memoryMB = memoryMB
        self.vcpus = vcpus
        self.rootGB = rootGB
        self.metadata = metadata
    }

    var argument: JSONValue {
        var instance: JSONObject = [
            "uuid": .string(uuid),
            "name": .string(name),
            "memory_mb": .int(Int64(memoryMB)),
            "vcpus": .int(Int64(vcpus)),
            "root_gb": .int(Int64(rootGB)),
        ]
        if let image { instance["image_ref"] = .string(image) }
        if !metadata.isEmpty {
            let sorted = metadata.sorted { $0.key < $1.key }
            instance["metadata"] = .object(JSONObject(sorted.map { ($0.key, JSONValue.string($0.value)) }))
        }
        return .object(instance)
    }
}

/// An operation on an instance that exists, as the command line has them.
package enum InstanceOperation: Sendable, Hashable {
    case powerOn, pause, unpause, suspend, resume
    /// `timeout` is the guest's time to shut down by itself, in seconds; `nil` = the host's own rule, 0 = none.
    case powerOff(timeout: Int?)
    case reboot(hard: Bool)

    var method: String {
        switch self {
        case .powerOn: "power_on"
        case .pause: "pause"
        case .unpause: "unpause"
        case .suspend: "suspend"
        case .resume: "resume"
        case .powerOff: "power_off"
        case .reboot: "reboot"
        }
    }

    var arguments: JSONObject {
        switch self {
        case .powerOff(let timeout?): ["timeout": .int(Int64(timeout))]
        case .reboot(let hard): ["reboot_type": hard ? "HARD" : "SOFT"]
        default: [:]
        }
    }
}

extension ComputeClient {
    /// Spawns on the named host or on any, and waits until it runs.
    package func spawn(_ options: SpawnOptions) async throws -> Instance {
        try Instance(try await operate(host, "spawn", ["instance": options.argument], times.operation))
    }

    /// Sends the request only.
    package func spawnWithoutWaiting(_ options: SpawnOptions) async throws {
        try await sender.cast(target(host), "spawn", ["instance": options.argument])
    }

    package func perform(_ operation: InstanceOperation, _ reference: InstanceReference) async throws -> Instance {
        let place = try await place(of: reference)
        var limit = times.operation
        if case .powerOff(let seconds?) = operation { limit = times.operation(budget: .seconds(seconds)) }
        var args = operation.arguments
        args["instance"] = place.argument
        return try Instance(try await operate(place.host, operation.method, args, limit))
    }

    /// - Returns: what is known of the instance that is gone now.
    package func destroy(_ reference: InstanceReference) async throws -> JSONObject {
        let place = try await place(of: reference)
        _ = try await operate(place.host, "destroy", ["instance": place.argument], times.operation)
        var gone = place.argument.objectValue ?? [:]
        gone["host"] = .string(place.host)
        gone["state"] = "absent"
        return gone
    }

    func operate(_ host: String?, _ method: String, _ args: JSONObject, _ limit: Duration) async throws -> JSONValue {
        try await sender.call(target(host), method, args, timeout: limit, monitorTimeout: times.monitor)
    }

    /// Where to send an operation: with a named host as the user has put it, else where the instance was found.
    func place(of reference: InstanceReference) async throws -> (host: String, argument: JSONValue) {
        if let host { return (host, reference.argument) }
        let instance = try await find(reference)
        return (instance.host, instance.argument)
    }
}
