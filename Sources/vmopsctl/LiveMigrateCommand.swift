import ArgumentParser
import ControlClient
import Support

struct LiveMigrateCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "live-migrate",
        abstract: "Move a running instance to another host."
    )

    @Argument(help: "Name or uuid.")
    var name: String
    @Argument(help: "The host to move it to.")
    var destination: String
    @OptionGroup var common: CommonOptions
    @OptionGroup var limit: AnswerLimit

    @concurrent
    func run() async throws {
        let (name, destination, isQuiet) = (name, destination, common.json)
        let progress = MigrationOutput(isQuiet: isQuiet)
        defer { progress.end() }
        let instance = try await common.connect(limit.timeout) { compute in
            try await compute.liveMigrate(InstanceReference(name), to: destination) { source, state in
                progress.show(source, state, destination)
            }
        }
        progress.end()
        common.show(instance)
    }
}

struct GiveUpMigrationCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "give-up-migration",
        abstract: "Make a host forget a migration whose other host is gone for good.",
        discussion: """
            Name the host with --host. With --run-here the instance goes on there: only when it is certain that the \
            other host does not run it and never will.
            """
    )

    @Argument(help: "Name or uuid.")
    var name: String
    @Flag(help: "The instance runs nowhere; let it go on at this host.")
    var runHere = false
    @OptionGroup var common: CommonOptions
    @OptionGroup var limit: AnswerLimit

    @concurrent
    func run() async throws {
        let (name, runHere) = (name, runHere)
        let instance = try await common.connect(limit.timeout) { compute in
            try await compute.giveUpMigration(InstanceReference(name), runHere: runHere)
        }
        if let instance { common.show(instance) }
    }
}
