/// The machines of hosts with `backend = qemu`.
package struct QEMUSettings: Sendable, Hashable {
    package var binary: String
    package var machineType: String
    package var cpuModel: String
    package var acceleration: QEMUAcceleration
    package var diskBus: QEMUDiskBus
    package var network: QEMUNetwork
    package var user: String
    package var sandbox: Bool
    package var commandTimeout: Duration
    package var startTimeout: Duration
    package var adoptTimeout: Duration
    package var quitTimeout: Duration
    package var unplugTimeout: Duration
    package var consolePipeBytes: Int
    package var syncState: Bool

    init(_ reader: SettingsReader) {
        binary = reader[QEMUOptions.binary]
        machineType = reader[QEMUOptions.machineType]
        cpuModel = reader[QEMUOptions.cpuModel]
        acceleration = reader[QEMUOptions.acceleration]
        diskBus = reader[QEMUOptions.diskBus]
        network = reader[QEMUOptions.network]
        user = reader[QEMUOptions.user]
        sandbox = reader[QEMUOptions.sandbox]
        commandTimeout = reader[QEMUOptions.commandTimeout]
        startTimeout = reader[QEMUOptions.startTimeout]
        adoptTimeout = reader[QEMUOptions.adoptTimeout]
        quitTimeout = reader[QEMUOptions.quitTimeout]
        unplugTimeout = reader[QEMUOptions.unplugTimeout]
        consolePipeBytes = reader[QEMUOptions.consolePipeBytes]
        syncState = reader[QEMUOptions.syncState]
    }
}
