/// The plugin of hosts with `backend = plugin`.
package struct PluginSettings: Sendable, Hashable {
    package var shape: PluginShape
    /// Program and arguments.
    package var command: [String]
    package var socket: String
    package var user: String
    /// Each a SHA-256, or a path, a colon and a SHA-256.
    package var checksums: [String]
    package var environment: [String: String]
    package var options: [String: String]
    package var startTimeout: Duration
    package var requestTimeout: Duration
    package var grace: Duration
    package var pollInterval: Duration
    /// MiB; 0 = no limit.
    package var memoryLimit: Int
    package var openFiles: Int

    init(_ reader: SettingsReader) {
        shape = reader[PluginOptions.shape]
        command = [String](command: reader[PluginOptions.command]) ?? []
        socket = reader[PluginOptions.socket]
        user = reader[PluginOptions.user]
        checksums = reader[PluginOptions.checksum]
        environment = Dictionary(assignments: reader[PluginOptions.environment])
        options = Dictionary(assignments: reader[PluginOptions.option])
        startTimeout = reader[PluginOptions.startTimeout]
        requestTimeout = reader[PluginOptions.requestTimeout]
        grace = reader[PluginOptions.grace]
        pollInterval = reader[PluginOptions.pollInterval]
        memoryLimit = reader[PluginOptions.memoryLimit]
        openFiles = reader[PluginOptions.openFiles]
    }
}

/// How a plugin is reached.
package enum PluginShape: String, Sendable, Hashable, CaseIterable {
    case child, socket, oneshot
}
