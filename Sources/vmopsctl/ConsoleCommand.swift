import ArgumentParser
import ControlClient
import OsloMessaging
import Support

struct ConsoleCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "console",
        abstract: "Print an instance's serial console, or use it.",
        discussion: """
            On a terminal the guest's control characters are shown instead of obeyed, except for colours; --raw and \
            --interactive let all of them through. An interactive console is left with Ctrl-] and a full stop; every \
            other key, Ctrl-C too, goes to the guest.
            """
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
    @Flag(name: .shortAndLong, help: "Follow, and type on the console.")
    var interactive = false
    @Flag(help: "Let escape sequences through to the terminal.")
    var raw = false
    @OptionGroup var common: CommonOptions
    @OptionGroup var limit: AnswerLimit

    func validate() throws {
        if let tail, tail < 0 { throw ValidationError("--tail needs a number from 0 on") }
        if interactive, timestamps || common.json {
            throw ValidationError("--interactive goes neither with --json nor with --timestamps")
        }
    }

    @concurrent
    func run() async throws {
        if interactive { return try await interact() }
        let selection = ConsoleSelection(tail: tail, follow: follow, sinceBoot: sinceBoot)
        let (name, timestamps) = (name, timestamps)
        let form: ConsoleOutput.Form =
            common.json ? (follow ? .jsonLines : .jsonDocument) : Terminal.isOutput && !raw ? .neutralised : .bytes
        try await common.connect(limit.timeout) { compute in
            var output = ConsoleOutput(form: form, timestamps: timestamps)
            defer {
                Terminal.write(output.finish())
                // A prompt at the end of a log must not run into the shell's.
                if Terminal.isOutput, !output.endsWithLine { Terminal.print("") }
            }
            // One of the two closures at a time: the reader calls them in turn.
            try await ConsoleReader(compute, InstanceReference(name)).read(selection) { notice in
                Self.say(notice)
            } output: { piece in
                Terminal.write(output.take(piece, at: WireTime.now().context + "Z"))
            }
        }
    }

    private static func say(_ notice: String) { Terminal.complain(TextTable.printable("vmopsctl: \(notice)")) }

    // MARK: - Interactive

    /// Lines of what is already there, unless told otherwise.
    private static let window = 20

    private func interact() async throws {
        guard RawTerminal.isInput else { throw ValidationError("--interactive needs a terminal") }
        let selection = ConsoleSelection(
            tail: tail ?? (sinceBoot ? nil : Self.window),
            follow: true,
            sinceBoot: sinceBoot
        )
        let reference = InstanceReference(name)
        try await common.connect(limit.timeout) { compute in
            // A name that no host knows is said before the terminal changes.
            _ = try await compute.find(reference)
            Self.say("Ctrl-] and . leave; the guest's escape sequences reach this terminal")
            guard let terminal = RawTerminal() else { throw ValidationError("--interactive needs a terminal") }
            defer { terminal.restore() }
            try await withThrowingTaskGroup(of: Void.self) { group in
                group.addTask {
                    try await ConsoleReader(compute, reference).read(selection) { notice in
                        Self.say(notice)
                    } output: { piece in
                        Terminal.write(piece.data)
                    }
                }
                group.addTask { try await Self.type(terminal, ConsoleTyping(compute, reference)) }
                // Whichever ends first: the operator leaves, or the instance is gone.
                defer { group.cancelAll() }
                try await group.next()
            }
        }
        Terminal.print("")
    }

    private static func type(_ terminal: RawTerminal, _ typing: ConsoleTyping) async throws {
        var keys = EscapeKeys()
        var latest: String?
        while true {
            let bytes = try await terminal.read()
            if bytes.isEmpty { return }
            let (typed, leaves) = keys.take(bytes)
            let problem = try await typing.type(typed)
            // The same answer to every key is said once.
            if let problem, problem != latest { say(problem) }
            latest = problem
            if leaves { return }
        }
    }
}
