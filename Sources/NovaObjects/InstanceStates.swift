/// What an instance is, as Nova's users see it (Nova's compute RPC, section 3.3).
package enum VMState: String, Sendable, Hashable, CaseIterable {
    case active, building, paused, suspended, stopped, rescued, resized, deleted, error, shelved
    case softDeleted = "soft-delete"
    case shelvedOffloaded = "shelved_offloaded"
}

/// What is being done to an instance; nothing is null. Those that a worker of ours sets or expects.
package enum TaskState: String, Sendable, Hashable, CaseIterable {
    case scheduling, spawning, rebooting, pausing, unpausing, suspending, resuming, migrating, deleting
    case rebootingHard = "rebooting_hard"
    case rebootPending = "reboot_pending"
    case rebootPendingHard = "reboot_pending_hard"
    case rebootStarted = "reboot_started"
    case rebootStartedHard = "reboot_started_hard"
    case imageSnapshotPending = "image_snapshot_pending"
    case imageSnapshot = "image_snapshot"
    case imagePendingUpload = "image_pending_upload"
    case imageUploading = "image_uploading"
    case resizePrep = "resize_prep"
    case resizeMigrating = "resize_migrating"
    case resizeMigrated = "resize_migrated"
    case resizeFinish = "resize_finish"
    case resizeReverting = "resize_reverting"
    case rebuilding
    case rebuildBlockDeviceMapping = "rebuild_block_device_mapping"
    case rebuildSpawning = "rebuild_spawning"
    // The only ones with hyphens (Nova's compute RPC, section 11).
    case softDeleting = "soft-deleting"
    case poweringOff = "powering-off"
    case poweringOn = "powering-on"
}

extension TaskState {
    /// Those of a rebuild, or of an evacuation at its new host, in order.
    package static let rebuilds: [TaskState] = [.rebuilding, .rebuildBlockDeviceMapping, .rebuildSpawning]
}

/// What a migration has come to.
package enum MigrationStatus: String, Sendable, Hashable {
    case accepted, queued, preparing, running, completed, cancelled, failed, error
    // Cold migrations and resizes.
    case migrating, finished, confirming, confirmed, reverting, reverted
    /// An evacuation as far as its new host is concerned.
    case done
    case preMigrating = "pre-migrating"
    case postMigrating = "post-migrating"
}
