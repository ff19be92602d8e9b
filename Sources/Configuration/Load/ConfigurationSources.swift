import Glibc

/// Where settings are read from, in the order of growing weight: defaults, files, directories, environment, `--set`.
package struct ConfigurationSources: Sendable {
    /// `--config-file`, in order.
    package var files: [String]
    /// `--config-dir`, in order; the `*.conf` of each are read sorted by name.
    package var directories: [String]
    /// Variables `OS_<GROUP>__<OPTION>` count, all others are ignored.
    package var environment: [String: String]
    /// `--set`: `group.option=value`, `option=value`, or `host:NAME.group.option=value`.
    package var overrides: [String]
    /// Stands for `host` when that is not set.
    package var machineName: String

    package init(
        files: [String] = [],
        directories: [String] = [],
        environment: [String: String] = [:],
        overrides: [String] = [],
        machineName: String = ConfigurationSources.systemHostName
    ) {
        self.files = files
        self.directories = directories
        self.environment = environment
        self.overrides = overrides
        self.machineName = machineName
    }

    /// Read when neither files nor directories are given, if it is there.
    package static let standardFile = "/etc/vmops/vmops.conf"

    /// The machine's host name, `localhost` when it has none.
    package static var systemHostName: String {
        var name = [CChar](repeating: 0, count: 257)
        guard gethostname(&name, name.count - 1) == 0 else { return "localhost" }
        let text = String(decoding: name.prefix { $0 != 0 }.map(UInt8.init(bitPattern:)), as: UTF8.self)
        return text.isEmpty ? "localhost" : text
    }
}
