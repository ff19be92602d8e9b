import ArgumentParser
import Configuration
import Glibc
import Support

@main
struct VmopsDaemon: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "vmopsd",
        abstract: "Serves hypervisor hosts over oslo.messaging.",
        version: Version.text,
        subcommands: [PluginHostCommand.self]
    )

    @Option(name: .customLong("config-file"), help: "A configuration file; may be repeated, later files win.")
    var files: [String] = []

    @Option(name: .customLong("config-dir"), help: "A directory of *.conf files, read after the files.")
    var directories: [String] = []

    @Option(name: .customLong("set"), help: "group.option=value; wins over everything else.")
    var overrides: [String] = []

    @Flag(help: "Check the configuration, say all that is wrong with it, and exit.")
    var checkConfig = false

    @Flag(help: "Print the configuration in force, secrets hidden, and exit.")
    var printConfig = false

    @Flag(help: "Print a commented sample configuration and exit.")
    var sampleConfig = false

    @concurrent
    func run() async throws {
        // Until they mean something they must not end the process.
        signal(SIGHUP, SIG_IGN)
        signal(SIGUSR2, SIG_IGN)
        if sampleConfig { return print(ConfigurationReport.sample(), terminator: "") }
        let sources = ConfigurationSources(
            files: files,
            directories: directories,
            environment: EnvironmentVariables.all,
            overrides: overrides
        )
        let result = Settings.load(sources)
        StandardError.write(ConfigurationReport.check(result))
        guard let settings = result.settings else { throw ExitCode.failure }
        if checkConfig { return }
        if printConfig { return print(ConfigurationReport.print(settings), terminator: "") }
        do {
            _ = ProgramImage.path
            switch try await Daemon.run(settings, sources: sources) {
            case .exit: return
            case .replace(let variables): throw ProgramImage.replace(adding: variables)
            }
        } catch {
            StandardError.write("vmopsd: \(error)\n")
            throw ExitCode.failure
        }
    }
}

/// Standard error for words to the operator before the log exists.
enum StandardError {
    static func write(_ text: String) {
        var bytes = Array(text.utf8)[...]
        while !bytes.isEmpty {
            let count = bytes.withUnsafeBytes { Glibc.write(2, $0.baseAddress, $0.count) }
            if count <= 0 { return }
            bytes = bytes.dropFirst(count)
        }
    }
}
