package import Support

/// What an operator sees of a host's plugin.
package struct PluginStatus: Sendable, Hashable {
    package enum State: String, Sendable, Hashable, CaseIterable {
        case starting, running, restarting, degraded, stopped

        /// As the metric `vmops_plugin_state` has it.
        package var number: Int { Self.allCases.firstIndex(of: self) ?? 0 }
    }

    package var state = State.stopped
    /// The plugin's own name and version; empty before its first hello.
    package var name = ""
    package var version = ""
    /// How often it was started again.
    package var restarts = 0
    /// Why it is not running, or last was not.
    package var lastError: String?
    /// Requests that it has not answered.
    package var requests = 0

    package var json: JSONObject {
        [
            "state": .string(state.rawValue), "name": .string(name), "version": .string(version),
            "restarts": .int(Int64(restarts)), "requests": .int(Int64(requests)),
            "last_error": lastError.map { .string($0) } ?? .null,
        ]
    }
}
