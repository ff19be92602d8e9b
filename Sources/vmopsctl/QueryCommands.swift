import ArgumentParser
import ControlClient
import Support

struct HostsCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(commandName: "hosts", abstract: "Show which hosts answer.")

    @OptionGroup var common: CommonOptions
    @OptionGroup var limit: AnswerLimit

    @concurrent
    func run() async throws {
        let hosts = try await common.connect(limit.timeout) { try await $0.hosts() }
        if common.json {
            Terminal.print(Presentation.line(.array(hosts.map(JSONValue.object))))
        } else {
            Terminal.print(Presentation.hosts(hosts))
        }
    }
}

struct ListCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(commandName: "list", abstract: "Show the instances of all hosts.")

    @OptionGroup var common: CommonOptions
    @OptionGroup var limit: AnswerLimit

    @concurrent
    func run() async throws {
        let instances = try await common.connect(limit.timeout) { try await $0.list() }
        if common.json {
            Terminal.print(Presentation.line(.array(instances.map { .object($0.info) })))
        } else {
            Terminal.print(Presentation.instances(instances))
        }
    }
}

struct InfoCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(commandName: "info", abstract: "Show all about an instance.")

    @Argument(help: "Name or uuid.")
    var name: String
    @OptionGroup var common: CommonOptions
    @OptionGroup var limit: AnswerLimit

    @concurrent
    func run() async throws {
        let name = name
        let instance = try await common.connect(limit.timeout) { try await $0.find(InstanceReference(name)) }
        if common.json {
            Terminal.print(Presentation.line(.object(instance.info)))
        } else {
            Terminal.print(Presentation.details(instance.info))
        }
    }
}
