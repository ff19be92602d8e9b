import ArgumentParser
import ControlClient
import JSONCodec
import Support

/// The arguments of a remote method as the user writes them.
struct MethodArguments: ParsableArguments {
    @Argument(help: "The remote method.")
    var method: String

    @Argument(help: "Its arguments as a JSON object; - reads it from standard input.")
    var json: String?

    func object() throws -> JSONObject {
        guard let json else { return [:] }
        let text = json == "-" ? Terminal.readInput() : json
        let value: JSONValue
        do {
            value = try JSONReader.read(Array(text.utf8))
        } catch {
            throw ControlError(.usage, "the arguments are not JSON: \(error)")
        }
        guard case .object(let object) = value else {
            throw ControlError(.usage, "the arguments must be a JSON object, not \(value.typeName)")
        }
        return object
    }
}

struct CallCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "call",
        abstract: "Call a remote method on --host or on any host, and print its result."
    )

    @OptionGroup var arguments: MethodArguments
    @OptionGroup var common: CommonOptions
    @OptionGroup var limit: AnswerLimit

    @concurrent
    func run() async throws {
        let (method, object) = (arguments.method, try arguments.object())
        let result = try await common.connect(limit.timeout) { try await $0.call(method, object) }
        Terminal.print(common.json ? Presentation.line(result) : Presentation.indented(result))
    }
}

struct CastCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "cast",
        abstract: "Send a request to --host or to any host, without an answer."
    )

    @OptionGroup var arguments: MethodArguments
    @OptionGroup var common: CommonOptions
    @OptionGroup var limit: AnswerLimit

    @concurrent
    func run() async throws {
        let (method, object) = (arguments.method, try arguments.object())
        try await common.connect(limit.timeout) { try await $0.cast(method, object) }
        Terminal.print(common.json ? "null" : "sent")
    }
}

struct FanoutCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "fanout",
        abstract: "Send a request to all hosts, without an answer."
    )

    @OptionGroup var arguments: MethodArguments
    @OptionGroup var common: CommonOptions
    @OptionGroup var limit: AnswerLimit

    @concurrent
    func run() async throws {
        let (method, object) = (arguments.method, try arguments.object())
        try await common.connect(limit.timeout) { try await $0.fanout(method, object) }
        Terminal.print(common.json ? "null" : "sent")
    }
}
