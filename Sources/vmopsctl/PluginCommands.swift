import ArgumentParser
import Configuration
import ControlClient
import JSONCodec
import PluginKit
import Support

struct PluginCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "plugin",
        abstract: "Write plugins and check them.",
        subcommands: [PluginCheckCommand.self, PluginNewCommand.self]
    )
}

struct PluginCheckCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "check",
        abstract: "Run the conformance kit against a plugin.",
        discussion: """
            COMMAND is the plugin's program with its arguments, in one word or in several behind --, or the path of its
            socket. Machines are made on the plugin's hypervisor, and deleted. Exit status 1 when a check failed.
            """
    )

    enum Report: String, ExpressibleByArgument, CaseIterable { case text, json }

    @Argument(help: "The plugin.")
    var command: [String]
    @Option(help: "child, socket or oneshot.")
    var shape = "child"
    @Option(name: .customLong("option"), help: "NAME=VALUE for the plugin; may be repeated.")
    var options: [String] = []
    @Option(name: .customLong("environment"), help: "NAME=VALUE for the plugin's environment; may be repeated.")
    var environment: [String] = []
    @Option(help: "Only checks with this in their name, or of this section; may be repeated.")
    var only: [String] = []
    @Option(help: "text or json.")
    var report = Report.text
    @Option(help: "An image to boot machines from.")
    var image: String?
    @Option(help: "A file to copy as the machines' root disk.")
    var disk: String?
    @Option(help: "The format of that file.")
    var diskFormat = "raw"
    @Option(help: "The bus of root disks: ide, scsi or virtio.")
    var diskBus = "virtio"
    @Option(name: .customLong("memory-mb"), help: "Memory of the machines.")
    var memoryMB = 64
    @Option(help: "NAME=VALUE in the machines' metadata; may be repeated.")
    var metadata: [String] = []
    @Option(help: "NAME=VALUE of the metadata with which a guest prints more than 256 KiB; may be repeated.")
    var floodMetadata: [String] = []
    @Option(help: "What to type on a console to have the guest print more than 256 KiB.")
    var floodTyping: String?
    @Option(help: "What a guest prints when it is up.")
    var bootText: String?
    @Option(help: "A bridge to attach interfaces to.")
    var bridge: String?
    @Option(
        name: .customLong("second-option"),
        help: "NAME=VALUE for the second plugin, to which machines move, where it is another one; may be repeated."
    )
    var secondOptions: [String] = []
    @Option(help: "The command of the second plugin, if it is another one.")
    var secondCommand: String?
    @Option(help: "How the first plugin's host knows the second's, default second.")
    var secondAddress: String?
    @Option(help: "The name of a machine on the hypervisor that is not vmops'.")
    var foreign: String?
    @Option(
        name: .customLong("foreign-uuid"),
        help: "The uuid of that machine on the hypervisor, where instances have it too."
    )
    var foreignUUID: String?
    @Option(help: "How many machines the check of many machines makes.")
    var machines = 20
    @Option(help: "How often the plugin is killed at a random point.")
    var kills = 5
    @Option(help: "Seconds that the handshake may take.")
    var startTimeout: Double = 10

    func validate() throws {
        guard PluginKitSettings.Shape(rawValue: shape) != nil else {
            throw ValidationError("--shape is child, socket or oneshot")
        }
        guard ["ide", "scsi", "virtio"].contains(diskBus) else {
            throw ValidationError("--disk-bus is ide, scsi or virtio")
        }
        guard (1...100_000).contains(machines), (0...10_000).contains(kills), startTimeout > 0, memoryMB > 0 else {
            throw ValidationError("--machines, --kills, --memory-mb and --start-timeout are counts")
        }
        for (name, pairs) in [
            ("option", options), ("environment", environment), ("metadata", metadata),
            ("flood-metadata", floodMetadata), ("second-option", secondOptions),
        ] where !pairs.allSatisfy({ $0.contains("=") }) {
            throw ValidationError("--\(name) needs NAME=VALUE")
        }
        for text in [command.count == 1 ? command[0] : nil, secondCommand] {
            if let text, [String](command: text) == nil {
                throw ValidationError("a command has a quote without its other: \(text)")
            }
        }
    }

    @concurrent
    func run() async throws {
        let report = report
        let result = try await PluginKitRun(settings, only: only).run { line in
            guard report == .text else { return }
            Terminal.print(PluginKitReport.text(line).map { TextTable.printable($0) })
        }
        switch report {
        case .text: Terminal.print(result.summary.map { TextTable.printable($0) })
        case .json: Terminal.write(try JSONWriter.bytes(of: .object(result.json), .compact) + [0x0A])
        }
        guard result.isPassed else { throw ExitCode.failure }
    }

    private var settings: PluginKitSettings {
        let words = command.count == 1 ? [String](command: command[0]) ?? command : command
        var settings = PluginKitSettings(command: words)
        settings.shape = PluginKitSettings.Shape(rawValue: shape) ?? .child
        settings.options = Dictionary(assignments: options)
        settings.environment = Dictionary(assignments: environment)
        settings.startLimit = .seconds(startTimeout)
        settings.image = image
        settings.rootDisk = disk
        settings.rootDiskFormat = diskFormat
        settings.diskBus = diskBus
        settings.memoryMB = memoryMB
        settings.metadata = Dictionary(assignments: metadata)
        settings.floodMetadata = floodMetadata.isEmpty ? nil : Dictionary(assignments: floodMetadata)
        settings.floodTyping = floodTyping
        settings.bootText = bootText
        settings.bridge = bridge
        settings.secondOptions = Dictionary(assignments: secondOptions)
        settings.secondCommand = secondCommand.flatMap { [String](command: $0) }
        settings.secondAddress = secondAddress
        settings.foreignName = foreign
        settings.foreignUUID = foreignUUID
        settings.machineCount = machines
        settings.killRounds = kills
        return settings
    }
}

struct PluginNewCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "new",
        abstract: "Make a plugin that works, to begin with.",
        discussion: "The plugin's machines are records in files. What to replace is marked in its source."
    )

    @Option(help: "python or swift.")
    var language: String
    @Argument(help: "The plugin's name, which is the directory's too.")
    var name: String
    @Option(
        name: .customLong("sdk"),
        help: "Where the Python SDK is, the directory vmops_plugin; else it is looked for."
    )
    var sdk: String?

    func validate() throws {
        guard PluginSkeleton.Language(rawValue: language) != nil else {
            throw ValidationError("--language is python or swift")
        }
        guard PluginSkeleton.isName(name) else {
            throw ValidationError("a plugin's name has small letters, digits and dashes, and begins with a letter")
        }
    }

    @concurrent
    func run() async throws {
        guard let language = PluginSkeleton.Language(rawValue: language) else { return }
        let (name, sdk) = (name, sdk)
        let lines = try await BlockingPool.shared.run {
            try PluginSkeleton(name: name, language: language, sdk: sdk).write(to: name)
        }
        Terminal.print(lines.map { TextTable.printable($0) })
    }
}
