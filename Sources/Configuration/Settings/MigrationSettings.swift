/// Live migration between hosts.
package struct MigrationSettings: Sendable, Hashable {
    /// The address that arriving machines are listened for at.
    package var address: String
    /// The ports for them; `nil` = any.
    package var ports: ClosedRange<Int>?
    /// Bytes a second; `nil` = any number.
    package var bandwidth: Int?
    /// How long a transfer may stand still, before and during the switch-over.
    package var progressTimeout: Duration
    package var switchoverTimeout: Duration
    /// How long another host may be silent.
    package var peerTimeout: Duration
    package var retryInterval: Duration
    /// How long a real machine may stand still at the switch-over, at first and at most.
    package var downtime: Duration
    package var maximumDowntime: Duration
    package var autoConverge: Bool
    /// How long memory may be copied, and what is done then; `nil` = for ever.
    package var completionTimeout: Duration?
    package var timeoutAction: MigrationTimeoutAction
    package var channels: Int
    /// `nil` = not encrypted.
    package var tls: TLS?

    /// PEM files, and the name in the certificate.
    package struct TLS: Sendable, Hashable {
        package var authorityFile: String
        package var certificateFile: String
        package var keyFile: String
        package var name: String?
    }

    init(_ reader: SettingsReader) {
        address = reader[MigrationOptions.address]
        let bandwidth = reader[MigrationOptions.bandwidth]
        self.bandwidth = bandwidth > 0 ? bandwidth : nil
        ports = reader[MigrationOptions.ports].flatMap { try? MigrationOptions.portRange($0) }
        progressTimeout = reader[MigrationOptions.progressTimeout]
        switchoverTimeout = reader[MigrationOptions.switchoverTimeout]
        peerTimeout = reader[MigrationOptions.peerTimeout]
        retryInterval = reader[MigrationOptions.retryInterval]
        downtime = reader[MigrationOptions.downtime]
        maximumDowntime = reader[MigrationOptions.maximumDowntime]
        autoConverge = reader[MigrationOptions.autoConverge]
        let completion = reader[MigrationOptions.completionTimeout]
        completionTimeout = completion > .zero ? completion : nil
        timeoutAction = reader[MigrationOptions.timeoutAction]
        channels = reader[MigrationOptions.channels]
        if reader[MigrationOptions.tls] {
            tls = TLS(
                authorityFile: reader[MigrationOptions.tlsAuthorityFile] ?? "",
                certificateFile: reader[MigrationOptions.tlsCertificateFile] ?? "",
                keyFile: reader[MigrationOptions.tlsKeyFile] ?? "",
                name: reader[MigrationOptions.tlsName]
            )
        }
    }
}
