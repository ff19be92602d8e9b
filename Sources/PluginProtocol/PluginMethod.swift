package import HostBackend

/// The methods of version 1 (plugin protocol, section 7).
package enum PluginMethod: String, Sendable, Hashable, CaseIterable {
    case hostInfo = "host.info"
    case hostProbe = "host.probe"
    case machineList = "machine.list"
    case machineGet = "machine.get"
    case machineCreate = "machine.create"
    case machineDelete = "machine.delete"
    case machineSetState = "machine.setState"
    case machineReset = "machine.reset"
    case machineRequestShutdown = "machine.requestShutdown"
    case machineCancelJobs = "machine.cancelJobs"
    case machineDiagnostics = "machine.diagnostics"
    case machineExportRootDisk = "machine.exportRootDisk"
    case instanceRemoveFiles = "instance.removeFiles"
    case imageGet = "image.get"
    case diskCreate = "disk.create"
    case diskInfo = "disk.info"
    case diskResize = "disk.resize"
    case configDriveBuild = "configDrive.build"
    case machineAttachDisk = "machine.attachDisk"
    case machineDetachDisk = "machine.detachDisk"
    case volumeConnect = "volume.connect"
    case volumeDisconnect = "volume.disconnect"
    case machineAttachInterface = "machine.attachInterface"
    case machineDetachInterface = "machine.detachInterface"
    case networkPlug = "network.plug"
    case networkUnplug = "network.unplug"
    case consoleOpen = "console.open"
    case consoleWrite = "console.write"
    case consoleClose = "console.close"
    case migrateCheckIncoming = "migrate.checkIncoming"
    case migrateCheckOutgoing = "migrate.checkOutgoing"
    case migratePrepareIncoming = "migrate.prepareIncoming"
    case migrateStart = "migrate.start"
    case migrateFinishIncoming = "migrate.finishIncoming"
    case migrateAbandonIncoming = "migrate.abandonIncoming"
    case migrateFinishOutgoing = "migrate.finishOutgoing"
    case migrateTakeBack = "migrate.takeBack"
    case eventsSubscribe = "events.subscribe"

    /// Changes nothing: needs no idempotency key, and may run beside another request for the same machine.
    package var isRead: Bool {
        switch self {
        case .hostInfo, .hostProbe, .machineList, .machineGet, .machineDiagnostics, .diskInfo, .consoleOpen,
            .consoleWrite, .consoleClose, .eventsSubscribe, .migrateCheckIncoming, .migrateCheckOutgoing:
            true
        default: false
        }
    }

    /// Without it the plugin is not asked (plugin protocol, section 6); `nil` = basic.
    package var capability: Capability? {
        switch self {
        case .machineReset: .reset
        case .machineRequestShutdown: .softShutdown
        case .machineDiagnostics: .diagnostics
        case .machineExportRootDisk: .checkpoint
        case .machineCancelJobs: .cancelJobs
        case .diskResize: .resizeDisks
        case .configDriveBuild: .configDriveISO
        case .eventsSubscribe: .events
        case .consoleOpen: .consoleOutput
        case .consoleWrite: .consoleInput
        case .migrateCheckIncoming, .migrateCheckOutgoing, .migratePrepareIncoming, .migrateStart,
            .migrateFinishIncoming, .migrateAbandonIncoming, .migrateFinishOutgoing, .migrateTakeBack:
            .liveMigration
        default: nil
        }
    }
}

extension Capability {
    /// What the host still does for a machine can be stopped.
    package static let cancelJobs = Capability(rawValue: "machine.cancelJobs")
}
