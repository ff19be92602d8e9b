/// Live migration between hosts.
package struct MigrationSettings: Sendable, Hashable {
    /// The address that arriving machines are listened for at.
    package var address: String
    /// Bytes a second; `nil` = any number.
    package var bandwidth: Int?
    /// How long a transfer may stand still, before and during the switch-over.
    package var progressTimeout: Duration
    package var switchoverTimeout: Duration
    /// How long another host may be silent.
    package var peerTimeout: Duration
    package var retryInterval: Duration

    init(_ reader: SettingsReader) {
        address = reader[MigrationOptions.address]
        let bandwidth = reader[MigrationOptions.bandwidth]
        self.bandwidth = bandwidth > 0 ? bandwidth : nil
        progressTimeout = reader[MigrationOptions.progressTimeout]
        switchoverTimeout = reader[MigrationOptions.switchoverTimeout]
        peerTimeout = reader[MigrationOptions.peerTimeout]
        retryInterval = reader[MigrationOptions.retryInterval]
    }
}
