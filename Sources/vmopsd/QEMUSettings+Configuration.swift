import QEMUHost

import struct Configuration.HostSettings
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
    }
}
