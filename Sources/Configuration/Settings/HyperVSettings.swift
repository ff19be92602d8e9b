/// The reference driver's options (VMOps semantics, section 3.1).
package struct HyperVSettings: Sendable, Hashable {
    package var limitCPUFeatures: Bool
    package var configDriveInjectPassword: Bool
    package var configDriveCDROM: Bool
    package var qemuImgCommand: String
    package var enableInstanceMetricsCollection: Bool
    package var dynamicMemoryRatio: Double
    package var waitSoftReboot: Duration
    package var vswitchName: String?
    package var volumeAttachRetryCount: Int
    package var volumeAttachRetryInterval: Duration
    package var mountedDiskQueryRetryCount: Int
    package var mountedDiskQueryRetryInterval: Duration

    init(_ reader: SettingsReader) {
        limitCPUFeatures = reader[HyperVOptions.limitCPUFeatures]
        configDriveInjectPassword = reader[HyperVOptions.configDriveInjectPassword]
        configDriveCDROM = reader[HyperVOptions.configDriveCDROM]
        qemuImgCommand = reader[HyperVOptions.qemuImgCommand]
        enableInstanceMetricsCollection = reader[HyperVOptions.enableInstanceMetricsCollection]
        dynamicMemoryRatio = reader[HyperVOptions.dynamicMemoryRatio]
        waitSoftReboot = reader[HyperVOptions.waitSoftRebootSeconds]
        vswitchName = reader[HyperVOptions.vswitchName]
        volumeAttachRetryCount = reader[HyperVOptions.volumeAttachRetryCount]
        volumeAttachRetryInterval = reader[HyperVOptions.volumeAttachRetryInterval]
        mountedDiskQueryRetryCount = reader[HyperVOptions.mountedDiskQueryRetryCount]
        mountedDiskQueryRetryInterval = reader[HyperVOptions.mountedDiskQueryRetryInterval]
    }
}

/// Nova's options that an operation on an instance depends on (VMOps semantics, section 3.2).
package struct ComputeSettings: Sendable, Hashable {
    package var useCowImages: Bool
    package var configDriveFormat: ConfigDriveFormat
    /// How long a guest may take to shut down before it is switched off.
    package var shutdownTimeout: Duration
    /// Pause between two requests to a guest to shut down.
    package var shutdownRetryInterval: Duration
    package var resumeGuestsStateOnHostBoot: Bool
    /// The address other hosts and consoles reach this machine under.
    package var myIP: String

    init(_ reader: SettingsReader) {
        useCowImages = reader[DefaultOptions.useCowImages]
        configDriveFormat = reader[DefaultOptions.configDriveFormat]
        shutdownTimeout = reader[DefaultOptions.shutdownTimeout]
        shutdownRetryInterval = reader[ComputeOptions.shutdownRetryInterval]
        resumeGuestsStateOnHostBoot = reader[DefaultOptions.resumeGuestsStateOnHostBoot]
        myIP = reader[DefaultOptions.myIP]
    }
}
