import ArgumentParser

/// The command line of `vmopsctl`.
struct VmopsControl: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "vmopsctl",
        abstract: "Drives vmops hosts over RabbitMQ.",
        discussion: """
            These options may stand before the command or behind its name:
              --url URL           transport URL of the broker, as rabbit://user:password@host:5672/
                                  (else VMOPS_URL, else the configuration)
              --config-file FILE  vmopsd's configuration, for the broker and the topic
              --host HOST         the host to ask; without it instances are looked up on all hosts
              --json              print JSON
              --timeout SECONDS   how long to wait for an answer

            Exit status: 0 success, 1 the operation failed, 2 usage, 3 no answer in time.
            """,
        version: Version.text,
        subcommands: [
            HostsCommand.self, ListCommand.self, InfoCommand.self, SpawnCommand.self, PowerOffCommand.self,
            PowerOnCommand.self, RebootCommand.self, PauseCommand.self, UnpauseCommand.self, SuspendCommand.self,
            ResumeCommand.self, DestroyCommand.self, LiveMigrateCommand.self, GiveUpMigrationCommand.self,
            MigrateCommand.self, ResizeCommand.self, ConfirmResizeCommand.self, RevertResizeCommand.self,
            EvacuateCommand.self, DrainCommand.self, ConsoleCommand.self, CallCommand.self, CastCommand.self,
            FanoutCommand.self, PluginCommand.self, VersionCommand.self,
        ]
    )
}

/// What all commands take.
struct CommonOptions: ParsableArguments {
    @Option(help: "Transport URL of the broker (else VMOPS_URL, else the configuration).")
    var url: String?

    @Option(name: .customLong("config-file"), help: "vmopsd's configuration, for the broker and the topic.")
    var configFiles: [String] = []

    @Option(help: "The host to ask; without it instances are looked up on all hosts.")
    var host: String?

    @Flag(help: "Print JSON.")
    var json = false

    func validate() throws {
        if let host, host.isEmpty { throw ValidationError("--host needs a name") }
    }
}

/// How long to wait for an answer, for all commands but the one with another `--timeout`.
struct AnswerLimit: ParsableArguments {
    @Option(name: [.long, .customLong("answer-timeout")], help: "Seconds to wait for an answer.")
    var timeout: Double?

    func validate() throws { try AnswerTimeout.check(timeout) }
}

/// The same where `--timeout` means something else.
struct OtherAnswerLimit: ParsableArguments {
    @Option(help: "Seconds to wait for an answer.")
    var answerTimeout: Double?

    func validate() throws { try AnswerTimeout.check(answerTimeout) }
}

enum AnswerTimeout {
    static func check(_ seconds: Double?) throws {
        guard let seconds else { return }
        guard seconds > 0, seconds <= 1e9 else { throw ValidationError("--timeout needs a number of seconds above 0") }
    }
}

enum Version {
    static let text = "0.1.0"
}

struct VersionCommand: ParsableCommand {
    static let configuration = CommandConfiguration(commandName: "version", abstract: "Print the version.")

    @OptionGroup var common: CommonOptions
    @OptionGroup var limit: AnswerLimit

    func run() {
        Terminal.print(common.json ? "{\"version\":\"\(Version.text)\"}" : "vmopsctl \(Version.text)")
    }
}
