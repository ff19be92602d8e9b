import HostBackend
import QEMUHost

import struct Configuration.HostSettings
import struct Configuration.MigrationSettings
import struct Configuration.Settings

extension QEMUSettings {
    init(_ host: HostSettings, _ settings: Settings) {
        self.init()
        let options = host.qemu
        binary = options.binary
        machineType = options.machineType
        cpuModel = options.cpuModel
        acceleration = Acceleration(rawValue: options.acceleration.rawValue) ?? .auto
        diskBus = DiskBus(rawValue: options.diskBus.rawValue) ?? .virtio
        network = Network(rawValue: options.network.rawValue) ?? .none
        user = options.user
        sandbox = options.sandbox
        commandTimeout = options.commandTimeout
        startTimeout = options.startTimeout
        adoptTimeout = options.adoptTimeout
        quitTimeout = options.quitTimeout
        unplugTimeout = options.unplugTimeout
        consolePipeBytes = options.consolePipeBytes
        syncState = options.syncState
        imagesPath = settings.imagesPath
        qemuImgCommand = host.hyperv.qemuImgCommand
        migration = MigrationLimits(host.migration)
    }
}

extension MigrationLimits {
    init(_ settings: MigrationSettings) {
        self.init()
        address = settings.address
        ports = settings.ports
        bandwidth = settings.bandwidth
        progressTimeout = settings.progressTimeout
        switchoverTimeout = settings.switchoverTimeout
        downtime = settings.downtime
        maximumDowntime = settings.maximumDowntime
        autoConverge = settings.autoConverge
        completionTimeout = settings.completionTimeout
        lastResort = LastResort(rawValue: settings.timeoutAction.rawValue) ?? .abort
        channels = settings.channels
        tls = settings.tls.map(MigrationCertificates.init)
    }
}

extension MigrationCertificates {
    init(_ files: MigrationSettings.TLS) {
        self.init(
            authority: files.authorityFile,
            certificate: files.certificateFile,
            key: files.keyFile,
            name: files.name
        )
    }
}
