import VMOps

import struct Configuration.HostSettings
import struct Configuration.Settings

extension OperationSettings {
    init(_ host: HostSettings, _ settings: Settings) {
        self.init(imagesPath: host.simulated.texts["images_path"] ?? settings.imagesPath)
        useCopyOnWriteImages = host.compute.useCowImages
        configDriveFormat = host.compute.configDriveFormat.rawValue
        dynamicMemoryRatio = host.hyperv.dynamicMemoryRatio
        limitCPUFeatures = host.hyperv.limitCPUFeatures
        enableMetricsCollection = host.hyperv.enableInstanceMetricsCollection
        softRebootTimeout = host.hyperv.waitSoftReboot
        powerOffPollInterval = host.console.pollInterval
        resumeGuestsOnStart = host.compute.resumeGuestsStateOnHostBoot
        maxOutgoingMigrations = max(1, settings.limits.maxInflight / 2)
        migrationRetryInterval = host.migration.retryInterval
        maxQueuePerInstance = settings.limits.maxQueue
        volumePaths = settings.limits.volumePaths
    }
}

extension Settings {
    /// Images are shared by the hosts of the process.
    var imagesPath: String { statePath + "/images" }
}
