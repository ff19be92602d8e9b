import ArgumentParser
import ControlClient
import Support

struct MigrateCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "migrate",
        abstract: "Turn an instance off, move it to another host, and start it there.",
        discussion: "It then waits for confirm-resize or revert-resize."
    )

    @Argument(help: "Name or uuid.")
    var name: String
    @Argument(help: "The host to move it to.")
    var destination: String
    @OptionGroup var shutdown: ShutdownOption
    @OptionGroup var common: CommonOptions
    @OptionGroup var limit: AnswerLimit

    @concurrent
    func run() async throws {
        try await common.resize(name, to: destination, FlavorChange(), shutdown.seconds, limit.timeout)
    }
}

struct ResizeCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "resize",
        abstract: "Give an instance more or less memory and processors, and larger disks.",
        discussion: "It is off meanwhile, and then waits for confirm-resize or revert-resize."
    )

    @Argument(help: "Name or uuid.")
    var name: String
    @Option(name: .customLong("memory-mb"), help: "Memory in MB.")
    var memoryMB: Int?
    @Option(help: "Processors.")
    var vcpus: Int?
    @Option(name: .customLong("root-gb"), help: "Size of the root disk in GB, never below the present one.")
    var rootGB: Int?
    @Option(name: .customLong("ephemeral-gb"), help: "Size of the ephemeral disk in GB; 0 removes it.")
    var ephemeralGB: Int?
    @Option(name: .customLong("to"), help: "The host to move it to; default: where it is.")
    var destination: String?
    @OptionGroup var shutdown: ShutdownOption
    @OptionGroup var common: CommonOptions
    @OptionGroup var limit: AnswerLimit

    private var change: FlavorChange {
        FlavorChange(memoryMB: memoryMB, vcpus: vcpus, rootGB: rootGB, ephemeralGB: ephemeralGB)
    }

    func validate() throws {
        guard change != FlavorChange() else { throw ValidationError("what is to change?") }
    }

    @concurrent
    func run() async throws {
        try await common.resize(name, to: destination, change, shutdown.seconds, limit.timeout)
    }
}

/// How long the guest may take to shut down by itself before a move.
struct ShutdownOption: ParsableArguments {
    @Option(
        name: .customLong("shutdown-timeout"),
        help: "Seconds that the guest gets to shut down by itself; 0 = none."
    )
    var seconds = 60

    func validate() throws {
        guard (0...86_400).contains(seconds) else {
            throw ValidationError("--shutdown-timeout needs a number of seconds from 0 to 86400")
        }
    }
}

struct ConfirmResizeCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "confirm-resize",
        abstract: "Keep an instance as a migration or resize left it."
    )

    @OptionGroup var instance: InstanceArgument
    @OptionGroup var common: CommonOptions
    @OptionGroup var limit: AnswerLimit

    @concurrent
    func run() async throws {
        let name = instance.name
        common.show(try await common.connect(limit.timeout) { try await $0.confirmResize(InstanceReference(name)) })
    }
}

struct RevertResizeCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "revert-resize",
        abstract: "Bring an instance back to where and what it was before a migration or resize.",
        discussion: "What was written to its disks since is lost."
    )

    @OptionGroup var instance: InstanceArgument
    @OptionGroup var common: CommonOptions
    @OptionGroup var limit: AnswerLimit

    @concurrent
    func run() async throws {
        let name = instance.name
        common.show(try await common.connect(limit.timeout) { try await $0.revertResize(InstanceReference(name)) })
    }
}

extension CommonOptions {
    fileprivate func resize(
        _ name: String,
        to destination: String?,
        _ change: FlavorChange,
        _ shutdown: Int,
        _ timeout: Double?
    ) async throws {
        let progress = MigrationOutput(isQuiet: json)
        defer { progress.end() }
        let instance = try await connect(timeout) { compute in
            try await compute.resize(
                InstanceReference(name),
                to: destination,
                change,
                shutdown: shutdown
            ) { source, state in
                progress.show(source, state, destination ?? source.host)
            }
        }
        progress.end()
        show(instance)
    }
}
