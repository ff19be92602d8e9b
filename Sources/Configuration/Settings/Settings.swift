/// Everything the service is told, typed and checked.
package struct Settings: Sendable {
    /// The hosts this process serves; never empty, names unique.
    package private(set) var hosts: [HostSettings]
    package private(set) var statePath: String
    package private(set) var backend: BackendKind
    package private(set) var log: LogSettings
    package private(set) var messaging: MessagingSettings
    package private(set) var notifications: NotificationSettings
    package private(set) var compute: ComputeSettings
    package private(set) var console: ConsoleSettings
    package private(set) var hyperv: HyperVSettings
    package private(set) var simulated: SimulatedSettings
    package private(set) var images: ImageSettings
    package private(set) var migration: MigrationSettings
    package private(set) var nova: NovaServiceSettings
    package private(set) var cloud: CloudSettings
    package private(set) var admin: AdminSettings
    package private(set) var journal: JournalSettings
    package private(set) var limits: LimitSettings
    /// What the above was made of.
    let table: OptionTable

    /// The built-in defaults.
    package static let `default` = Settings(
        OptionTable(registry: .standard, machineName: ConfigurationSources.systemHostName)
    )

    init(_ table: OptionTable) {
        let reader = SettingsReader(table: table)
        self.table = table
        var path = reader[DefaultOptions.statePath]
        while path.count > 1, path.last == "/" { path.removeLast() }
        let statePath = path
        self.statePath = statePath
        hosts = Self.hostNames(reader).map { HostSettings($0, statePath: statePath, table: table) }
        backend = reader[DefaultOptions.backend]
        log = LogSettings(reader)
        messaging = MessagingSettings(reader)
        notifications = NotificationSettings(reader)
        compute = ComputeSettings(reader)
        console = ConsoleSettings(reader)
        hyperv = HyperVSettings(reader)
        simulated = SimulatedSettings(reader)
        images = ImageSettings(reader)
        migration = MigrationSettings(reader)
        nova = NovaServiceSettings(reader)
        cloud = CloudSettings(reader)
        admin = AdminSettings(reader)
        journal = JournalSettings(reader)
        limits = LimitSettings(reader)
    }

    /// `hosts`, or `host`, or the machine's name.
    static func hostNames(_ reader: SettingsReader) -> [String] {
        let names = reader[DefaultOptions.hosts]
        return names.isEmpty ? [reader[DefaultOptions.host] ?? reader.table.machineName] : names
    }
}
