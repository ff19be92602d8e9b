import ArgumentParser
import ControlClient
import Support

struct SpawnCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "spawn",
        abstract: "Create and start an instance on --host or on any host."
    )

    @Argument(help: "The name of the instance.")
    var name: String
    @Option(help: "The image to start from.")
    var image: String?
    @Option(name: .customLong("memory-mb"), help: "Memory in MiB.")
    var memoryMB = 512
    @Option(help: "Processors.")
    var vcpus = 1
    @Option(name: .customLong("root-gb"), help: "Size of the root disk in GiB; 0 = that of the image.")
    var rootGB = 1
    @Option(help: "The uuid; by default a new one.")
    var uuid: String?
    @Option(parsing: .upToNextOption, help: "Facts about the instance, as key=value; may be repeated.")
    var metadata: [String] = []
    @Flag(help: "Send the request and do not wait.")
    var noWait = false
    @OptionGroup var common: CommonOptions
    @OptionGroup var limit: AnswerLimit

    func validate() throws {
        if memoryMB < 1 || vcpus < 1 || rootGB < 0 { throw ValidationError("sizes must be above 0") }
        if let uuid, !InstanceReference(uuid).isUUID { throw ValidationError("\(uuid) is not a uuid") }
        for entry in metadata where entry.firstIndex(of: "=") == nil || entry.hasPrefix("=") {
            throw ValidationError("--metadata needs key=value, not \(entry)")
        }
    }

    private var options: SpawnOptions {
        var pairs: [String: String] = [:]
        for entry in metadata {
            guard let equals = entry.firstIndex(of: "=") else { continue }
            pairs[String(entry[..<equals])] = String(entry[entry.index(after: equals)...])
        }
        return SpawnOptions(
            name: name,
            uuid: uuid,
            image: image,
            memoryMB: memoryMB,
            vcpus: vcpus,
            rootGB: rootGB,
            metadata: pairs
        )
    }

    @concurrent
    func run() async throws {
        let options = options
        guard noWait else {
            return common.show(try await common.connect(limit.timeout) { try await $0.spawn(options) })
        }
        try await common.connect(limit.timeout) { try await $0.spawnWithoutWaiting(options) }
        if common.json {
            let host = common.host.map(JSONValue.string) ?? .null
            let sent: JSONValue = ["uuid": .string(options.uuid), "name": .string(options.name), "host": host]
            Terminal.print(Presentation.line(sent))
        } else {
            Terminal.print(TextTable.printable("\(options.name) (\(options.uuid)) was asked for"))
        }
    }
}
