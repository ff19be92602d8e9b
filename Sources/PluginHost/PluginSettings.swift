package import PluginProtocol

/// How a host's plugin is run, and how long it may take.
package struct PluginSettings: Sendable, Hashable {
    package enum Shape: String, Sendable, Hashable, CaseIterable {
        case child, socket, oneshot
    }

    /// A file that must have this content before the plugin is started.
    package struct Checksum: Sendable, Hashable {
        /// `nil` = the program itself.
        package var path: String?
        /// SHA-256 in hexadecimal digits, small letters.
        package var digits: String

        package init(path: String?, digits: String) {
            self.path = path
            self.digits = digits.lowercased()
        }
    }

    package var shape: Shape
    /// Program and arguments; not for the shape `socket`.
    package var command: [String]
    /// The service's socket, for the shape `socket`.
    package var socket: String
    /// Who the plugin runs as, or who must serve the socket; empty = the same as the worker.
    package var user: String
    package var checksums: [Checksum]
    package var times: PluginTimes
    /// How long a short request may take; long ones, such as fetching an image, get sixty times that.
    package var requestTimeout: Duration
    /// Between two inventories of a plugin without events.
    package var pollInterval: Duration
    /// Added to the clean environment.
    package var environment: [String: String]
    /// The plugin's own options.
    package var options: [String: String]
    /// Address space of the plugin's process, in bytes; 0 = no limit.
    package var memoryLimit: Int
    /// Open files of the plugin's process; 0 = the worker's limit.
    package var fileLimit: Int
    package var restarts: PluginRestarts

    package init(
        shape: Shape = .child,
        command: [String] = [],
        socket: String = "",
        user: String = "",
        checksums: [Checksum] = [],
        times: PluginTimes = PluginTimes(),
        requestTimeout: Duration = .seconds(60),
        pollInterval: Duration = .seconds(2),
        environment: [String: String] = [:],
        options: [String: String] = [:],
        memoryLimit: Int = 0,
        fileLimit: Int = 0,
        restarts: PluginRestarts = PluginRestarts()
    ) {
        self.shape = shape
        self.command = command
        self.socket = socket
        self.user = user
        self.checksums = checksums
        self.times = times
        self.requestTimeout = requestTimeout
        self.pollInterval = pollInterval
        self.environment = environment
        self.options = options
        self.memoryLimit = memoryLimit
        self.fileLimit = fileLimit
        self.restarts = restarts
    }
}

/// When a plugin that ended is started again (plugin protocol, section 10).
package struct PluginRestarts: Sendable, Hashable {
    package var firstPause: Duration
    package var longestPause: Duration
    /// A life this long makes the next pause the first one again.
    package var health: Duration
    /// So many failures within ``window`` make the host degraded.
    package var failures: Int
    package var window: Duration
    /// Between two tries of a degraded host.
    package var degradedPause: Duration

    package init(
        firstPause: Duration = .milliseconds(500),
        longestPause: Duration = .seconds(30),
        health: Duration = .seconds(60),
        failures: Int = 10,
        window: Duration = .seconds(600),
        degradedPause: Duration = .seconds(60)
    ) {
        self.firstPause = firstPause
        self.longestPause = longestPause
        self.health = health
        self.failures = failures
        self.window = window
        self.degradedPause = degradedPause
    }
}
