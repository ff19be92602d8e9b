import ArgumentParser
import ControlClient
import Support

struct PowerOffCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(commandName: "power-off", abstract: "Shut an instance down.")

    @Argument(help: "Name or uuid.")
    var name: String
    @Option(help: "Seconds that the guest gets to shut down by itself; 0 = none, default: the host's rule.")
    var timeout: Int?
    @OptionGroup var common: CommonOptions
    @OptionGroup var limit: OtherAnswerLimit

    func validate() throws {
        guard (0...86_400).contains(timeout ?? 0) else {
            throw ValidationError("--timeout needs a number of seconds from 0 to 86400")
        }
    }

    @concurrent
    func run() async throws {
        try await common.perform(.powerOff(timeout: timeout), name, limit.answerTimeout)
    }
}

struct RebootCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(commandName: "reboot", abstract: "Restart an instance.")

    @Argument(help: "Name or uuid.")
    var name: String
    @Flag(help: "Do not ask the guest.")
    var hard = false
    @OptionGroup var common: CommonOptions
    @OptionGroup var limit: AnswerLimit

    @concurrent
    func run() async throws { try await common.perform(.reboot(hard: hard), name, limit.timeout) }
}

/// A command that takes nothing but an instance.
protocol SimpleOperationCommand: AsyncParsableCommand {
    static var operation: InstanceOperation { get }
    var instance: InstanceArgument { get }
    var common: CommonOptions { get }
    var limit: AnswerLimit { get }
}

struct InstanceArgument: ParsableArguments {
    @Argument(help: "Name or uuid.")
    var name: String
}

extension SimpleOperationCommand {
    @concurrent
    func run() async throws { try await common.perform(Self.operation, instance.name, limit.timeout) }
}

struct PowerOnCommand: SimpleOperationCommand {
    static let configuration = CommandConfiguration(commandName: "power-on", abstract: "Start an instance.")
    static let operation = InstanceOperation.powerOn
    @OptionGroup var instance: InstanceArgument
    @OptionGroup var common: CommonOptions
    @OptionGroup var limit: AnswerLimit
}

struct PauseCommand: SimpleOperationCommand {
    static let configuration = CommandConfiguration(commandName: "pause", abstract: "Stop an instance's processors.")
    static let operation = InstanceOperation.pause
    @OptionGroup var instance: InstanceArgument
    @OptionGroup var common: CommonOptions
    @OptionGroup var limit: AnswerLimit
}

struct UnpauseCommand: SimpleOperationCommand {
    static let configuration = CommandConfiguration(commandName: "unpause", abstract: "Let a paused instance go on.")
    static let operation = InstanceOperation.unpause
    @OptionGroup var instance: InstanceArgument
    @OptionGroup var common: CommonOptions
    @OptionGroup var limit: AnswerLimit
}

struct SuspendCommand: SimpleOperationCommand {
    static let configuration = CommandConfiguration(
        commandName: "suspend",
        abstract: "Save an instance's memory and stop it."
    )
    static let operation = InstanceOperation.suspend
    @OptionGroup var instance: InstanceArgument
    @OptionGroup var common: CommonOptions
    @OptionGroup var limit: AnswerLimit
}

struct ResumeCommand: SimpleOperationCommand {
    static let configuration = CommandConfiguration(commandName: "resume", abstract: "Let a suspended instance go on.")
    static let operation = InstanceOperation.resume
    @OptionGroup var instance: InstanceArgument
    @OptionGroup var common: CommonOptions
    @OptionGroup var limit: AnswerLimit
}

struct DestroyCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "destroy",
        abstract: "Remove an instance with its disks and its console log."
    )

    @OptionGroup var instance: InstanceArgument
    @OptionGroup var common: CommonOptions
    @OptionGroup var limit: AnswerLimit

    @concurrent
    func run() async throws {
        let name = instance.name
        let gone = try await common.connect(limit.timeout) { try await $0.destroy(InstanceReference(name)) }
        if common.json { return Terminal.print(Presentation.line(.object(gone))) }
        let host = gone["host"]?.stringValue ?? "-"
        Terminal.print(TextTable.printable("\(gone["name"]?.stringValue ?? name) is destroyed on \(host)"))
    }
}

extension CommonOptions {
    func perform(_ operation: InstanceOperation, _ name: String, _ timeout: Double?) async throws {
        show(try await connect(timeout) { try await $0.perform(operation, InstanceReference(name)) })
    }

    /// The outcome of an operation.
    func show(_ instance: Instance) {
        Terminal.print(json ? Presentation.line(.object(instance.info)) : Presentation.sentence(instance))
    }
}
