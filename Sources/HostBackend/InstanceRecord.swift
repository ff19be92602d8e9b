/// What the worker remembers of an instance across restarts.
package struct InstanceRecord: Sendable, Hashable {
    package var uuid: InstanceUUID
    package var name: String
    package var memoryMB: Int
    package var vcpus: Int
    package var rootGB: Int
    /// Sizes of the ephemeral disks.
    package var ephemeralGB: [Int]
    package var imageRef: String?
    package var configDrive: Bool
    package var metadata: [String: String]
    package var interfaces: [NetworkInterface]
    package var disks: [DiskAttachment]
    /// How each volume among the disks is reached, for hosts that the instance moves to.
    package var volumes: [VolumeConnection]
    /// `false` while a spawn or an arriving migration is not complete: at a restart such an instance is undone.
    package var complete: Bool
    /// The last stable state that an operation or event led to.
    package var state: MachineState
    /// The `_unique_id` of the request that spawned it: a redelivery of that request is no conflict.
    package var spawnRequest: String?
    /// Seconds since 1970.
    package var createdAt: Int64
    /// The live migration that this host has not finished with.
    package var move: InstanceMove?
    /// The transfer by which the instance came to this host, if it was not spawned here.
    package var arrivedBy: String?
    /// The number of this host's ownership of the instance's directory, see `Ownership`: one for each host that had it.
    package var generation = 0

    package init(
        uuid: InstanceUUID,
        name: String,
        memoryMB: Int,
        vcpus: Int,
        rootGB: Int,
        ephemeralGB: [Int] = [],
        imageRef: String? = nil,
        configDrive: Bool = false,
        metadata: [String: String] = [:],
        interfaces: [NetworkInterface] = [],
        disks: [DiskAttachment] = [],
        volumes: [VolumeConnection] = [],
        complete: Bool = false,
        state: MachineState = .off,
        spawnRequest: String? = nil,
        createdAt: Int64,
        move: InstanceMove? = nil,
        arrivedBy: String? = nil
    ) {
        self.uuid = uuid
        self.name = name
        self.memoryMB = memoryMB
        self.vcpus = vcpus
        self.rootGB = rootGB
        self.ephemeralGB = ephemeralGB
        self.imageRef = imageRef
        self.configDrive = configDrive
        self.metadata = metadata
        self.interfaces = interfaces
        self.disks = disks
        self.volumes = volumes
        self.complete = complete
        self.state = state
        self.spawnRequest = spawnRequest
        self.createdAt = createdAt
        self.move = move
        self.arrivedBy = arrivedBy
    }
}
