/// The options that the operations read, each time anew, so that a reload takes effect with the next request.
package struct OperationSettings: Sendable, Hashable {
    package var useCopyOnWriteImages = true
    package var configDriveFormat = "iso9660"
    package var forceConfigDrive = false
    package var dynamicMemoryRatio = 1.0
    package var limitCPUFeatures = false
    package var enableMetricsCollection = false
    /// Budget of a soft reboot before it becomes a hard one.
    package var softRebootTimeout: Duration = .seconds(60)
    package var softRebootInterval: Duration = .seconds(5)
    /// How often a machine is looked at while its guest shuts down.
    package var powerOffPollInterval: Duration = .milliseconds(500)
    /// Limit for a host to reach a requested state.
    package var stateChangeTimeout: Duration = .seconds(120)
    package var removeDirectoryTimeout: Duration = .seconds(15)
    package var resumeGuestsOnStart = false
    /// Where snapshots are written, and images are found.
    package var imagesPath: String
    /// Directories below which volumes that are files or devices of this machine may lie; empty = anywhere.
    package var volumePaths: [String] = []
    /// Requests that may wait for one instance; more are refused.
    package var maxQueuePerInstance = 64
    /// Migrations away from this host at once; more are refused, for each keeps a place among the requests that run.
    package var maxOutgoingMigrations = 16
    /// How often what is left of a live migration is tried again.
    package var migrationRetryInterval: Duration = .seconds(10)
    /// A full inventory repairs what events missed.
    package var inventoryInterval: Duration = .seconds(60)

    package init(imagesPath: String) {
        self.imagesPath = imagesPath
    }
}
