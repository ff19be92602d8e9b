import ArgumentParser
import ControlClient
import Glibc
import UnixSignals

/// Runs one command. The status is 0, or 1 when the operation failed, 2 for a command line that makes no sense, 3 when
/// no answer came in time, 130 after Ctrl-C.
@main enum Entry {
    static func main() async {
        let commands = VmopsControl.configuration.subcommands.compactMap { $0.configuration.commandName }
        let given = Array(CommandLine.arguments.dropFirst())
        let arguments = CommandLineOrder.commandFirst(given, commands: Set(commands))
        exit(await run(arguments))
    }

    /// The command, until it ends or a signal ends it; the second signal ends it at once.
    private static func run(_ arguments: [String]) async -> Int32 {
        await withTaskGroup(of: Int32?.self) { group in
            group.addTask { await execute(arguments) }
            group.addTask {
                for await _ in await UnixSignalsSequence(trapping: [.sigint, .sigterm]) { break }
                return nil
            }
            let first = await group.next() ?? nil
            group.cancelAll()
            if let first { return first }
            signal(SIGINT, SIG_DFL)
            signal(SIGTERM, SIG_DFL)
            _ = await group.next()
            return ExitReport.interrupted
        }
    }

    private static func execute(_ arguments: [String]) async -> Int32 {
        do {
            var command = try VmopsControl.parseAsRoot(arguments)
            if var command = command as? any AsyncParsableCommand {
                try await command.run()
            } else {
                try command.run()
            }
            return 0
        } catch {
            return report(error)
        }
    }

    private static func report(_ error: any Error) -> Int32 {
        // A command that has said already what was wrong.
        if let status = error as? ExitCode { return status.rawValue }
        let code = VmopsControl.exitCode(for: error)
        if code == .success {
            Terminal.print(VmopsControl.fullMessage(for: error))
            return 0
        }
        if code == .validationFailure {
            Terminal.complain(VmopsControl.fullMessage(for: error))
            return ExitReport.usage
        }
        let report = ExitReport(error)
        if let message = report.message { Terminal.complain("vmopsctl: \(TextTable.printable(message))") }
        return report.status
    }
}
