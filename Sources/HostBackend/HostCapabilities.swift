/// What a host can do beyond the basic life cycle. An absent capability is answered with `NotImplementedError`
/// without asking the backend.
package struct Capability: RawRepresentable, Sendable, Hashable, Comparable {
    package let rawValue: String

    package init(rawValue: String) { self.rawValue = rawValue }

    package static func < (left: Capability, right: Capability) -> Bool { left.rawValue < right.rawValue }

    package static let softShutdown = Capability(rawValue: "machine.softShutdown")
    package static let reset = Capability(rawValue: "machine.reset")
    package static let pause = Capability(rawValue: "machine.pause")
    package static let save = Capability(rawValue: "machine.save")
    package static let hotplugNIC = Capability(rawValue: "machine.hotplug.nic")
    package static let hotplugDisk = Capability(rawValue: "machine.hotplug.disk")
    package static let diagnostics = Capability(rawValue: "machine.diagnostics")
    package static let checkpoint = Capability(rawValue: "machine.checkpoint")
    package static let copyOnWriteDisks = Capability(rawValue: "disk.cow")
    package static let resizeDisks = Capability(rawValue: "disk.resize")
    /// A copy-on-write disk can be larger than the image it is based on.
    package static let resizeDifferencing = Capability(rawValue: "disk.resizeDifferencing")
    package static let configDriveISO = Capability(rawValue: "configDrive.iso")
    package static let liveMigration = Capability(rawValue: "migrate.live")
    package static let liveStorageMigration = Capability(rawValue: "migrate.live.storage")
    package static let abortLiveMigration = Capability(rawValue: "migrate.live.cancel")
    package static let migratePaused = Capability(rawValue: "migrate.live.paused")
    package static let coldMigration = Capability(rawValue: "migrate.cold")
    package static let events = Capability(rawValue: "host.events")
    /// The network service notices when an interface is plugged, and connects its port then.
    package static let networkPlugged = Capability(rawValue: "network.plugged")
    package static let consoleOutput = Capability(rawValue: "console.output")
    package static let consoleInput = Capability(rawValue: "console.input")
    /// Output printed while nobody reads is kept, and read after reconnecting.
    package static let consoleResumable = Capability(rawValue: "console.resumable")
    /// The console can be opened before the machine starts.
    package static let consolePreboot = Capability(rawValue: "console.preboot")
    /// The console must be closed before a live migration starts.
    package static let consoleExclusive = Capability(rawValue: "console.exclusive")
}

package struct HostCapabilities: Sendable, Hashable {
    package var flags: Set<Capability>
    /// File formats of disks, best first, such as `qcow2`, `raw`, `vhdx`.
    package var diskFormats: [String]
    package var volumeTypes: Set<String>
    package var networkTypes: Set<String>

    package init(
        flags: Set<Capability>,
        diskFormats: [String] = ["raw"],
        volumeTypes: Set<String> = [],
        networkTypes: Set<String> = []
    ) {
        self.flags = flags
        self.diskFormats = diskFormats
        self.volumeTypes = volumeTypes
        self.networkTypes = networkTypes
    }

    package func has(_ capability: Capability) -> Bool { flags.contains(capability) }
}

/// Facts about the host (VM operations, section 12.1). Memory in MB, disk in GB, as Nova counts them.
package struct HostInfo: Sendable, Hashable {
    package var vcpus: Int
    package var memoryMB: Int
    package var memoryUsedMB: Int
    package var diskGB: Int
    package var diskUsedGB: Int
    package var hypervisorType: String
    /// major × 1000 + minor.
    package var hypervisorVersion: Int
    package var hypervisorHostname: String
    package var cpuArchitecture: String
    package var cpuModel: String
    package var cpuVendor: String
    package var cpuSockets: Int
    package var cpuCores: Int
    package var cpuThreads: Int
    package var cpuFeatures: [String]
    /// Nova's "vm mode" of the supported instances, such as `hvm`.
    package var vmMode: String

    package init(
        vcpus: Int,
        memoryMB: Int,
        memoryUsedMB: Int,
        diskGB: Int,
        diskUsedGB: Int,
        hypervisorType: String,
        hypervisorVersion: Int,
        hypervisorHostname: String,
        cpuArchitecture: String,
        cpuModel: String,
        cpuVendor: String,
        cpuSockets: Int,
        cpuCores: Int,
        cpuThreads: Int,
        cpuFeatures: [String],
        vmMode: String = "hvm"
    ) {
        self.vcpus = vcpus
        self.memoryMB = memoryMB
        self.memoryUsedMB = memoryUsedMB
        self.diskGB = diskGB
        self.diskUsedGB = diskUsedGB
        self.hypervisorType = hypervisorType
        self.hypervisorVersion = hypervisorVersion
        self.hypervisorHostname = hypervisorHostname
        self.cpuArchitecture = cpuArchitecture
        self.cpuModel = cpuModel
        self.cpuVendor = cpuVendor
        self.cpuSockets = cpuSockets
        self.cpuCores = cpuCores
        self.cpuThreads = cpuThreads
        self.cpuFeatures = cpuFeatures
        self.vmMode = vmMode
    }
}
