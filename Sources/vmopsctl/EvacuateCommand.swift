import ArgumentParser
import ControlClient
import Support

struct EvacuateCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "evacuate",
        abstract: "Run elsewhere what a host ran that is gone, from storage that both see.",
        discussion: """
            Only when it is certain that the host runs nothing any more: switched off, or cut off from its storage. When \
            it is back, it removes its machines before it does anything else. Exit status 1 when something could not \
            be started.
            """
    )

    @Argument(help: "The host that is gone.")
    var source: String
    @Option(name: .customLong("to"), help: "A host that is to take over; may be repeated.")
    var destinations: [String]
    @Option(name: .customLong("only"), help: "An instance by name or uuid; may be repeated. Without it: all.")
    var names: [String] = []
    @Option(help: "How many at once.")
    var parallel = 4
    @OptionGroup var common: CommonOptions
    @OptionGroup var limit: AnswerLimit

    func validate() throws {
        guard (1...64).contains(parallel) else { throw ValidationError("--parallel is between 1 and 64") }
        if destinations.contains(source) { throw ValidationError("\(source) cannot be evacuated to itself") }
    }

    @concurrent
    func run() async throws {
        let (source, names, destinations, parallel) = (source, names, destinations, parallel)
        let isQuiet = common.json
        let (done, failed) = try await common.connect(limit.timeout) { compute in
            try await compute.evacuate(source, only: names, to: destinations, parallel: parallel) { event in
                guard !isQuiet else { return }
                switch event {
                case .started(let instance, let done, let total):
                    let text = "\(instance.name) is \(instance.state) on \(instance.host) (\(done) of \(total))"
                    Terminal.complain(TextTable.printable(text))
                case .failed(let instance, let reason):
                    Terminal.complain(TextTable.printable("\(instance.name) not taken over: \(reason)"))
                }
            }
        }
        if common.json {
            Terminal.print(
                Presentation.line([
                    "host": .string(source), "evacuated": .int(Int64(done)), "failed": .int(Int64(failed)),
                ])
            )
        } else {
            Terminal.print(TextTable.printable("\(done) evacuated, \(failed) not"))
        }
        guard failed == 0 else { throw ExitCode.failure }
    }
}
