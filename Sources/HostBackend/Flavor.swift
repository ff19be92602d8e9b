package import Support

/// What an instance is made of, as a resize changes it.
package struct Flavor: Sendable, Hashable {
    package var memoryMB: Int
    package var vcpus: Int
    package var rootGB: Int
    /// Sizes of the ephemeral disks.
    package var ephemeralGB: [Int]

    package init(memoryMB: Int, vcpus: Int, rootGB: Int, ephemeralGB: [Int] = []) {
        self.memoryMB = memoryMB
        self.vcpus = vcpus
        self.rootGB = rootGB
        self.ephemeralGB = ephemeralGB
    }

    package var json: JSONObject {
        [
            "memory_mb": .int(Int64(memoryMB)), "vcpus": .int(Int64(vcpus)), "root_gb": .int(Int64(rootGB)),
            "ephemeral_gb": .array(ephemeralGB.map { .int(Int64($0)) }),
        ]
    }

    /// `nil` when a member is missing or of another type.
    package init?(json: JSONObject) {
        guard let memoryMB = json["memory_mb"]?.intValue, let vcpus = json["vcpus"]?.intValue,
            let rootGB = json["root_gb"]?.intValue, let sizes = json["ephemeral_gb"]?.arrayValue
        else { return nil }
        self.init(
            memoryMB: Int(clamping: memoryMB),
            vcpus: Int(clamping: vcpus),
            rootGB: Int(clamping: rootGB),
            ephemeralGB: sizes.compactMap { $0.intValue.map { Int(clamping: $0) } }
        )
    }
}

extension InstanceRecord {
    package var flavor: Flavor {
        get { Flavor(memoryMB: memoryMB, vcpus: vcpus, rootGB: rootGB, ephemeralGB: ephemeralGB) }
        set {
            memoryMB = newValue.memoryMB
            vcpus = newValue.vcpus
            rootGB = newValue.rootGB
            ephemeralGB = newValue.ephemeralGB
        }
    }
}

/// What a cold migration or resize has to remember beside the move as such.
package struct InstanceResize: Sendable, Hashable {
    /// Before it is decided the new flavor, afterwards the old one.
    package var flavor: Flavor
    /// The disks as they were, for the way back on the same host.
    package var disks: [DiskAttachment]
    /// Whether the machine ran before, so that it runs again when it comes back.
    package var powerOn: Bool
    /// The `_unique_id` of the request: its redelivery finds it done.
    package var request: String?
    /// The machine is where it is to be, and to be started there yet.
    package var isStarting = false

    package init(flavor: Flavor, disks: [DiskAttachment] = [], powerOn: Bool, request: String? = nil) {
        self.flavor = flavor
        self.disks = disks
        self.powerOn = powerOn
        self.request = request
    }

    package var json: JSONObject {
        var json: JSONObject = ["flavor": .object(flavor.json), "power_on": .bool(powerOn)]
        if !disks.isEmpty { json["disks"] = .array(disks.map { .object($0.json) }) }
        if isStarting { json["starting"] = true }
        json["request"] = request.map(JSONValue.string)
        return json
    }

    /// `nil` when a member that every release writes is missing or of another type.
    package init?(json: JSONObject) {
        guard let flavor = json["flavor"]?.objectValue.flatMap(Flavor.init(json:)),
            let powerOn = json["power_on"]?.boolValue
        else { return nil }
        let disks = json["disks"]?.arrayValue ?? []
        self.init(
            flavor: flavor,
            disks: disks.compactMap { $0.objectValue.flatMap(DiskAttachment.init(json:)) },
            powerOn: powerOn,
            request: json["request"]?.stringValue
        )
        isStarting = json["starting"]?.boolValue ?? false
        guard self.disks.count == disks.count else { return nil }
    }
}
