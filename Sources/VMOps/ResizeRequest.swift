import HostBackend

/// What `resize_instance` asks for (VM operations, section 9).
package struct ResizeRequest: Sendable {
    /// `nil` = the host where the instance is.
    package var destination: String?
    /// What is to change; members that are `nil` stay.
    package var memoryMB: Int?
    package var vcpus: Int?
    package var rootGB: Int?
    package var ephemeralGB: Int?
    /// Whether the machine runs at the end; `nil` = if it ran before.
    package var powerOn: Bool?
    /// How long the guest may take to shut itself down; zero = turn it off at once.
    package var timeout: Duration
    package var interval: Duration

    package init(
        destination: String? = nil,
        memoryMB: Int? = nil,
        vcpus: Int? = nil,
        rootGB: Int? = nil,
        ephemeralGB: Int? = nil,
        powerOn: Bool? = nil,
        timeout: Duration = .zero,
        interval: Duration = .zero
    ) {
        self.destination = destination
        self.memoryMB = memoryMB
        self.vcpus = vcpus
        self.rootGB = rootGB
        self.ephemeralGB = ephemeralGB
        self.powerOn = powerOn
        self.timeout = timeout
        self.interval = interval
    }

    /// The present flavor with what is to change. More than one ephemeral disk stays as they are.
    func flavor(from present: Flavor) -> Flavor {
        var flavor = present
        flavor.memoryMB = memoryMB ?? present.memoryMB
        flavor.vcpus = vcpus ?? present.vcpus
        flavor.rootGB = rootGB ?? present.rootGB
        if let ephemeralGB, present.ephemeralGB.count <= 1 { flavor.ephemeralGB = ephemeralGB > 0 ? [ephemeralGB] : [] }
        return flavor
    }
}
