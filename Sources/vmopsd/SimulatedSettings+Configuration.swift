import HostBackend
import SimulatedHost

import struct Configuration.HostSettings
import struct Configuration.Settings

extension SimulatedSettings {
    /// - Throws: a `BackendError` that names the option.
    init(_ host: HostSettings, _ settings: Settings) throws {
        self.init()
        imagesPath = settings.imagesPath
        qemuImgCommand = host.hyperv.qemuImgCommand
        migrationAddress = host.migration.address
        migrationPorts = host.migration.ports
        migrationTLS = host.migration.tls.map(MigrationCertificates.init)
        migrationBandwidth = host.migration.bandwidth
        progressTimeout = host.migration.progressTimeout
        switchoverTimeout = host.migration.switchoverTimeout
        for (name, text) in host.simulated.texts.sorted(by: { $0.key < $1.key }) {
            _ = try set(option: name, text)
        }
    }
}
