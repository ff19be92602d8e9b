import SimulatedHost

import struct Configuration.HostSettings
import struct Configuration.Settings

extension SimulatedSettings {
    init(_ host: HostSettings, _ settings: Settings) throws {
        self.init()
        imagesPath = settings.imagesPath
        qemuImgCommand = host.hyperv.qemuImgCommand
    }
}
