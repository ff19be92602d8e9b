/// One served host with everything that may differ between hosts.
package struct HostSettings: Sendable, Hashable {
    package var name: String
    /// `<state_path>/<name>`.
    package var directory: String
    package var backend: BackendKind
    package var compute: ComputeSettings
    package var console: ConsoleSettings
    package var hyperv: HyperVSettings
    package var qemu: QEMUSettings
    package var simulated: SimulatedSettings
    package var plugin: PluginSettings
    package var migration: MigrationSettings

    init(_ name: String, statePath: String, table: OptionTable) {
        let reader = SettingsReader(table: table, host: name)
        self.name = name
        directory = statePath == "/" ? "/\(name)" : "\(statePath)/\(name)"
        backend = reader[DefaultOptions.backend]
        compute = ComputeSettings(reader)
        console = ConsoleSettings(reader)
        hyperv = HyperVSettings(reader)
        qemu = QEMUSettings(reader)
        simulated = SimulatedSettings(reader)
        plugin = PluginSettings(reader)
        migration = MigrationSettings(reader)
    }
}
