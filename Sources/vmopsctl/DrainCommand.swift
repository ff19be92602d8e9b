import ArgumentParser
import ControlClient
import Support
import Synchronization

struct DrainCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "drain",
        abstract: "Move everything on a host to other hosts.",
        discussion: """
            What runs or is paused moves live, what is off with its disks, for good. What is suspended or in an error \
            cannot move. Whatever stays is named, and makes the exit status 1.
            """
    )

    @Argument(help: "The host to empty.")
    var source: String
    @Option(name: .customLong("to"), help: "A host to move to; may be repeated. Without it: all others that answer.")
    var destinations: [String] = []
    @Option(help: "How many moves at once.")
    var parallel = 2
    @OptionGroup var common: CommonOptions
    @OptionGroup var limit: AnswerLimit

    func validate() throws {
        guard (1...32).contains(parallel) else { throw ValidationError("--parallel is between 1 and 32") }
        if destinations.contains(source) { throw ValidationError("\(source) cannot be drained to itself") }
    }

    @concurrent
    func run() async throws {
        let (source, destinations, parallel) = (source, destinations, parallel)
        let output = DrainOutput(isQuiet: common.json)
        defer { output.end() }
        let result = try await common.connect(limit.timeout) { compute in
            try await compute.drain(source, to: destinations, parallel: parallel) { output.show($0) }
        }
        output.end()
        if common.json {
            Terminal.print(
                Presentation.line([
                    "host": .string(source), "moved": .int(Int64(result.moved)),
                    "left": .int(Int64(result.left.count)),
                    "stayed": .array(
                        result.left.map { left in
                            [
                                "uuid": .string(left.instance.uuid), "name": .string(left.instance.name),
                                "reason": .string(left.reason),
                            ]
                        }
                    ),
                ])
            )
        } else {
            for left in result.left {
                Terminal.print(TextTable.printable("left: \(left.instance.name): \(left.reason)"))
            }
            Terminal.print(TextTable.printable("\(result.moved) moved, \(result.left.count) left on \(source)"))
        }
        guard result.left.isEmpty else { throw ExitCode.failure }
    }
}

/// A line for each thing that happened, and on a terminal one more that shows what is on its way.
private final class DrainOutput: Sendable {
    private struct State {
        var moving: [String: Double] = [:]
        var isDrawn = false
    }

    private let isQuiet: Bool
    private let state = Mutex(State())

    init(isQuiet: Bool) { self.isQuiet = isQuiet }

    func show(_ event: DrainEvent) {
        guard !isQuiet else { return }
        switch event {
        case .started(let move):
            draw { $0[move.instance.name] = 0 }
        case .progress(let move, let progress):
            draw { moving in
                if moving[move.instance.name] != nil { moving[move.instance.name] = progress.fraction }
            }
        case .moved(let instance, let done, let total):
            let state = instance.state == "running" ? "runs" : "is \(instance.state)"
            line("\(instance.name) \(state) on \(instance.host) (\(done) of \(total))", ended: instance.name)
        case .failed(let move, let reason, let isFinal):
            let next = isFinal ? "it stays" : "another host will be tried"
            line("\(move.instance.name) not to \(move.destination): \(reason); \(next)", ended: move.instance.name)
        case .left(let instance, let reason):
            line("\(instance.name) stays: \(reason)", ended: instance.name)
        }
    }

    func end() {
        state.withLock { state in
            if state.isDrawn { Terminal.draw("\r\u{1B}[K") }
            state.isDrawn = false
        }
    }

    private func line(_ text: String, ended name: String) {
        end()
        Terminal.complain(TextTable.printable(text))
        draw { $0[name] = nil }
    }

    private func draw(_ change: (inout [String: Double]) -> Void) {
        state.withLock { state in
            change(&state.moving)
            guard Terminal.isError else { return }
            let parts = state.moving.sorted { $0.key < $1.key }.map { "\($0.key) \(Int($0.value * 100)) %" }
            let text = String(
                TextTable.printable("moving: " + parts.joined(separator: ", ")).prefix(Terminal.columns - 1)
            )
            Terminal.draw("\r" + (parts.isEmpty ? "" : text) + "\u{1B}[K")
            state.isDrawn = !parts.isEmpty
        }
    }
}
