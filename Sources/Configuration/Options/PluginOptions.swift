/// `[plugin]`: the plugin of hosts with `backend = plugin`.
enum PluginOptions {
    static let group = "plugin"

    static let shape = OptionKey<PluginShape>.choice(
        group,
        "shape",
        default: .child,
        traits: [.perHost, .reloadable],
        "How the plugin is reached: started once (child), a service's socket (socket), started for each request (oneshot)."
    )
    static let command = OptionKey<String>.string(
        group,
        "command",
        default: "",
        traits: [.perHost, .reloadable],
        "Program and arguments of the plugin, separated by blanks; quotes keep words together. No shell sees it."
    ) { text throws(ValueError) in
        guard [String](command: text) != nil else {
            throw ValueError("\(ValueParser.quoted(text)) has a quote without its other")
        }
        return text
    }
    static let socket = OptionKey<String>.string(
        group,
        "socket",
        default: "",
        traits: [.perHost, .reloadable],
        "Unix socket of the plugin's service, for the shape socket."
    ) { text throws(ValueError) in text.isEmpty ? text : try ValueParser.path(text) }
    static let user = OptionKey<String>.string(
        group,
        "user",
        default: "",
        traits: [.perHost, .reloadable],
        "User that the plugin runs as when vmopsd is root, or who must serve the socket; empty: the same as vmopsd."
    )
    static let checksum = OptionKey<[String]>.multi(
        group,
        "checksum",
        traits: [.perHost, .reloadable],
        "SHA-256 that the program must have before it is started, or PATH:SHA-256 for another file."
    )
    static let environment = OptionKey<[String]>.multi(
        group,
        "environment",
        traits: [.perHost, .reloadable],
        "NAME=VALUE in the plugin's environment, which has nothing else of vmopsd's."
    )
    static let option = OptionKey<[String]>.multi(
        group,
        "option",
        traits: [.perHost, .reloadable],
        "NAME=VALUE of the plugin's own options; its documentation has them."
    )
    static let startTimeout = OptionKey<Duration>.seconds(
        group,
        "start_timeout",
        default: 10,
        in: 0.1...3600,
        traits: [.perHost, .reloadable],
        "How long the plugin may take from its start to its first answer."
    )
    static let requestTimeout = OptionKey<Duration>.seconds(
        group,
        "request_timeout",
        default: 60,
        in: 0.1...3600,
        traits: [.perHost, .reloadable],
        "How long a short request may take; work on whole disks and changes of state get sixty times that."
    )
    static let grace = OptionKey<Duration>.seconds(
        group,
        "grace",
        default: 5,
        in: 0.1...3600,
        traits: [.perHost, .reloadable],
        "How long after a request's deadline the plugin is taken for hung and ended."
    )
    static let pollInterval = OptionKey<Duration>.seconds(
        group,
        "poll_interval",
        default: 2,
        in: 0.1...3600,
        traits: [.perHost, .reloadable],
        "Between two looks at the machines of a plugin that reports no events."
    )
    static let memoryLimit = OptionKey<Int>.integer(
        group,
        "memory_limit_mb",
        default: 0,
        in: 0...1_048_576,
        traits: [.perHost, .reloadable],
        "Address space of the plugin's process in MiB; 0: no limit."
    )
    static let openFiles = OptionKey<Int>.integer(
        group,
        "open_files",
        default: 0,
        in: 0...1_048_576,
        traits: [.perHost, .reloadable],
        "Open files of the plugin's process; 0: as many as vmopsd may have."
    )

    static let all: [OptionDefinition] = [
        shape.definition, command.definition, socket.definition, user.definition, checksum.definition,
        environment.definition, option.definition, startTimeout.definition, requestTimeout.definition,
        grace.definition, pollInterval.definition, memoryLimit.definition, openFiles.definition,
    ]
}
