import ArgumentParser
import ControlClient
import OsloMessaging
import Support

struct ConsoleCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "console",
        abstract: "Print an instance's serial console."
    )

    @Argument(help: "Name or uuid.")
    var name: String
    @Option(help: "Only so many lines from the end.")
    var tail: Int?
    @Flag(help: "Go on with what comes, also when the instance restarts or moves.")
    var follow = false
    @Flag(help: "Begin at the latest boot.")
    var sinceBoot = false
    @Flag(help: "Put the time of its arrival before every line.")
    var timestamps = false
    @Flag(help: "Let escape sequences through to the terminal.")
    var raw = false
    @OptionGroup var common: CommonOptions
    @OptionGroup var limit: AnswerLimit

    func validate() throws {
        if let tail, tail < 0 { throw ValidationError("--tail needs a number from 0 on") }
    }

    @concurrent
    func run() async throws {
        let selection = ConsoleSelection(tail: tail, follow: follow, sinceBoot: sinceBoot)
        let (name, timestamps) = (name, timestamps)
        let form: ConsoleOutput.Form =
            common.json ? (follow ? .jsonLines : .jsonDocument) : Terminal.isOutput && !raw ? .neutralised : .bytes
        try await common.connect(limit.timeout) { compute in
            var output = ConsoleOutput(form: form, timestamps: timestamps)
            // One of the two closures at a time: the reader calls them in turn.
            try await ConsoleReader(compute, InstanceReference(name)).read(selection) { notice in
                Terminal.complain(TextTable.printable("vmopsctl: \(notice)"))
            } output: { piece in
                Terminal.write(output.take(piece, at: WireTime.now().context + "Z"))
            }
            Terminal.write(output.finish())
            // A prompt at the end of a log must not run into the shell's.
            if Terminal.isOutput, !output.endsWithLine { Terminal.print("") }
        }
    }
}
