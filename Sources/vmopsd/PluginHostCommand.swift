import ArgumentParser
import Glibc
import HostBackend
import ImageStore
import Logging
import Observability
import PluginProtocol
import PluginServer
import QEMUHost
import SimulatedHost
import Support

import enum Configuration.ConfigurationReport
import struct Configuration.ConfigurationSources
import struct Configuration.OptionName
import struct Configuration.OptionRegistry
import struct Configuration.Settings

/// `vmopsd plugin-host KIND`: one of our own hosts as a plugin, for a worker on the other end of standard input and
/// output.
struct PluginHostCommand: AsyncParsableCommand {
    enum Kind: String, ExpressibleByArgument, CaseIterable { case simulated, qemu }

    static let configuration = CommandConfiguration(
        commandName: "plugin-host",
        abstract: "Serves one host over the plugin protocol on standard input and output."
    )

    @Argument(help: "Which host: simulated or qemu.")
    var kind: Kind

    @Option(name: .customLong("config-file"), help: "A configuration file with the options of the host.")
    var files: [String] = []

    @concurrent
    func run() async throws {
        guard EnvironmentVariables.all[PluginVersion.cookie] != nil else {
            StandardError.write("vmopsd plugin-host is a plugin: a worker starts it, see docs/plugins.md\n")
            throw ExitCode.failure
        }
        umask(0o077)
        ProcessEnvironment.raiseDescriptorLimit()
        let observability = try ObservabilityStack(try Self.settings(["log_format": "json"], files: []))
        let logger = Logger(label: "plugin-host")
        let launcher = try PluginLauncher(name: "plugin-host", logger: logger)
        let channel = try launcher.standardStreams()
        let (kind, files) = (kind, files)
        let server = PluginServer(
            identity: PluginServer.Identity(
                name: "vmopsd-\(kind.rawValue)",
                version: Version.text,
                hostID: Self.machineID + "-" + kind.rawValue
            ),
            logger: logger
        ) { hello in
            try Self.host(kind, hello, files: files, logger)
        }
        let status = await server.run(channel)
        await observability.flush()
        throw ExitCode(status)
    }

    /// The host, with the options that the worker passes: `NAME=VALUE` of the kind's own group, or `GROUP.NAME=VALUE`.
    private static func host(
        _ kind: Kind,
        _ hello: WorkerHello,
        files: [String],
        _ logger: Logger
    ) throws -> PluginServer.Served {
        var options: [String: String] = ["host": hello.host, "backend": kind.rawValue]
        if let state = parent(parent(hello.instancesDirectory)) { options["state_path"] = state }
        for (name, value) in hello.options {
            let parts = name.split(separator: ".", maxSplits: 1).map(String.init)
            let option = parts.count == 2 ? OptionName(parts[0], parts[1]) : OptionName(kind.rawValue, name)
            // What this version does not know must do no harm.
            guard OptionRegistry.standard[option] != nil else {
                logger.warning("unknown option", metadata: ["option": "\(PluginText.escaped(name, limit: 128))"])
                continue
            }
            options[option.description] = value
        }
        let settings = try settings(options, files: files)
        guard let host = settings.hosts.first else { throw BackendError(.invalidArgument, "no host is configured") }
        let images = try ImageStores(settings, service: nil, logger: logger).store(host, settings)
        func served(_ backend: any HostBackend) -> PluginServer.Served {
            PluginServer.Served(backend, imageDirectories: [images.settings.directory, settings.imagesPath])
        }
        switch kind {
        case .simulated:
            let backend = SimulatedHost(
                name: hello.host,
                settings: try SimulatedSettings(host, settings),
                stateDirectory: hello.stateDirectory,
                world: try SimulatedWorld(),
                images: images,
                logger: logger
            )
            return served(backend)
        case .qemu:
            let backend = QEMUHost(
                name: hello.host,
                settings: QEMUSettings(host, settings),
                stateDirectory: hello.stateDirectory,
                images: images,
                logger: logger
            )
            return served(backend)
        }
    }

    private static func settings(_ options: [String: String], files: [String]) throws -> Settings {
        let overrides = options.sorted { $0.key < $1.key }.map { name, value in
            // A dollar would be taken for a reference to another option.
            "\(name)=\(value.replacing("$", with: "$$"))"
        }
        let result = Settings.load(
            ConfigurationSources(files: files.isEmpty ? ["/dev/null"] : files, overrides: overrides)
        )
        guard let settings = result.settings else {
            throw BackendError(.invalidArgument, ConfigurationReport.check(result))
        }
        return settings
    }

    private static func parent(_ path: String?) -> String? {
        guard let path, let slash = path.lastIndex(of: "/"), slash != path.startIndex else { return nil }
        return String(path[..<slash])
    }

    /// Stable for the machine.
    private static var machineID: String {
        guard let file = try? ReactorFile.reading("/etc/machine-id"), let bytes = try? file.read(at: 0, count: 64)
        else {
            return ConfigurationSources.systemHostName
        }
        return String(decoding: bytes.prefix { $0 > 0x20 }, as: UTF8.self)
    }
}
