import HostBackend
import PluginHost
import PluginProtocol

import struct Configuration.HostSettings

extension PluginSettings {
    /// - Throws: a `BackendError` that names the option.
    init(_ host: HostSettings) throws {
        let options = host.plugin
        self.init(
            shape: Shape(rawValue: options.shape.rawValue) ?? .child,
            command: options.command,
            socket: options.socket,
            user: options.user,
            checksums: try options.checksums.map { try Self.checksum($0, host.name) },
            times: PluginTimes(start: options.startTimeout, grace: options.grace),
            requestTimeout: options.requestTimeout,
            pollInterval: options.pollInterval,
            environment: options.environment,
            options: options.options,
            memoryLimit: options.memoryLimit << 20,
            fileLimit: options.openFiles
        )
        let (isThere, name) = shape == .socket ? (!socket.isEmpty, "socket") : (!command.isEmpty, "command")
        guard isThere else {
            throw BackendError(.invalidArgument, "host \(host.name): backend = plugin needs [plugin] \(name)")
        }
    }

    private static func checksum(_ text: String, _ host: String) throws -> Checksum {
        let parts = text.split(separator: ":", omittingEmptySubsequences: false).map(String.init)
        let digits = parts.last ?? ""
        guard digits.utf8.count == 64, digits.allSatisfy(\.isHexDigit) else {
            throw BackendError(.invalidArgument, "host \(host): [plugin] checksum: \(text) is no SHA-256")
        }
        let path = parts.dropLast().joined(separator: ":")
        return Checksum(path: path.isEmpty || path == "sha256" ? nil : path, digits: digits)
    }
}
