package import HostBackend
package import Support

/// Everything `spawn` needs (VM operations, section 6.8).
package struct SpawnRequest: Sendable {
    package var uuid: InstanceUUID
    package var name: String
    package var memoryMB: Int
    package var vcpus: Int
    package var rootGB: Int
    package var ephemeralGB: [Int]
    package var imageRef: String?
    /// What the client knows of the image; its reference is ``imageRef``.
    package var imageDetails: ImageRequest?
    package var metadata: [String: String]
    package var interfaces: [NetworkInterface]
    package var volumes: [VolumeConnection]
    package var powerOn: Bool
    /// Returns when the machine, which is defined and plugged by then, may be started; throws when it is not to be. `nil` =
    /// at once. Cancelled when the instance is to be removed.
    package var readiness: (@Sendable () async throws -> Void)?
    /// Whether the instance gets a config drive.
    package var configDrive: Bool
    /// The config drive's content; may hold the admin password.
    package var configDriveFiles: Redacted<[ConfigDriveFile]>

    package init(
        uuid: InstanceUUID,
        name: String,
        memoryMB: Int,
        vcpus: Int,
        rootGB: Int,
        ephemeralGB: [Int] = [],
        imageRef: String? = nil,
        imageDetails: ImageRequest? = nil,
        metadata: [String: String] = [:],
        interfaces: [NetworkInterface] = [],
        volumes: [VolumeConnection] = [],
        powerOn: Bool = true,
        configDrive: Bool = false,
        configDriveFiles: Redacted<[ConfigDriveFile]> = Redacted([])
    ) {
        self.uuid = uuid
        self.name = name
        self.memoryMB = memoryMB
        self.vcpus = vcpus
        self.rootGB = rootGB
        self.ephemeralGB = ephemeralGB
        self.imageRef = imageRef
        self.imageDetails = imageDetails
        self.metadata = metadata
        self.interfaces = interfaces
        self.volumes = volumes
        self.powerOn = powerOn
        self.configDrive = configDrive
        self.configDriveFiles = configDriveFiles
    }
}
