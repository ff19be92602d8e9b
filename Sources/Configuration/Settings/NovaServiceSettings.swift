/// Hosts as compute services of a control plane of Nova's.
package struct NovaServiceSettings: Sendable, Hashable {
    /// Whether Nova's compute RPC is answered.
    package var computeAPI: Bool
    package var conductor: NovaConductor
    package var conductorTopic: String
    package var conductorPatience: Duration
    /// `Class:major.minor` each.
    package var objectVersions: [String]
    package var responseTimeout: Duration
    package var shutdownTimeout: Duration

    init(_ reader: SettingsReader) {
        conductor = reader[NovaOptions.conductor]
        computeAPI = reader[NovaOptions.computeAPI] || conductor != .none
        conductorTopic = reader[NovaOptions.conductorTopic]
        conductorPatience = reader[NovaOptions.conductorPatience]
        objectVersions = reader[NovaOptions.objectVersions]
        responseTimeout = reader[NovaOptions.responseTimeout]
        shutdownTimeout = reader[NovaOptions.shutdownTimeout]
    }
}
