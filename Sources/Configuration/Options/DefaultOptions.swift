import Support

/// `[DEFAULT]`: the service itself and the names it shares with Nova and oslo.messaging.
package enum DefaultOptions {
    static let group = "DEFAULT"

    static let transportURL = OptionKey<Redacted<String>?>.secretURL(
        group,
        "transport_url",
        default: "rabbit://",
        "The broker, or several of one cluster separated by commas: rabbit://user:password@host:port/virtual_host. "
            + "Options of [oslo_messaging_rabbit] may follow as a query and win over the file."
    )
    static let controlExchange = OptionKey<String>.string(
        group,
        "control_exchange",
        default: "nova",
        "The exchange that requests come through."
    )
    static let computeTopic = OptionKey<String>.string(
        group,
        "compute_topic",
        default: "compute",
        "The topic that requests are addressed to.",
        check: ValueChecks.routingWord
    )
    static let computeAltTopic = OptionKey<String>.string(
        group,
        "compute_alt_topic",
        default: "compute-alt",
        "A second topic served alike, as Nova 33 and later address it; empty: none.",
        check: ValueChecks.routingWordOrEmpty
    )
    static let rpcResponseTimeout = OptionKey<Duration>.seconds(
        group,
        "rpc_response_timeout",
        default: 60,
        "How long a call of ours waits for its answer."
    )
    static let executorThreadPoolSize = OptionKey<Int>.integer(
        group,
        "executor_thread_pool_size",
        default: 64,
        in: 1...65536,
        aliases: ["rpc_thread_pool_size"],
        "How many operations run at once unless [limits] max_inflight says otherwise."
    )
    static let rpcPingEnabled = OptionKey<Bool>.boolean(
        group,
        "rpc_ping_enabled",
        default: false,
        "Answer oslo.messaging's own ping."
    )
    static let jsonParser = OptionKey<JSONParserKind>.choice(
        group,
        "json_parser",
        default: .jansson,
        "What reads requests first: jansson, or the project's own parser, which reads the same and needs less CPU."
    )
    static let host = OptionKey<String?>.optional(
        group,
        "host",
        sampleDefault: "<the machine's host name>",
        "The host this process serves when hosts is not set.",
        check: HostName.check
    )
    static let hosts = OptionKey<[String]>.list(
        group,
        "hosts",
        sampleDefault: "$host",
        "The hosts this process serves, each under its own name on the bus."
    )
    static let myIP = OptionKey<String>.string(
        group,
        "my_ip",
        default: "127.0.0.1",
        "The address other hosts and consoles reach this machine under."
    )
    static let statePath = OptionKey<String>.path(
        group,
        "state_path",
        default: "/var/lib/vmops",
        "Directory of everything that is kept; each host has a directory of its name in it."
    )
    static let backend = OptionKey<BackendKind>.choice(
        group,
        "backend",
        default: .simulated,
        traits: .perHost,
        "What drives the machines."
    )
    static let useCowImages = OptionKey<Bool>.boolean(
        group,
        "use_cow_images",
        default: true,
        traits: .perHost,
        "Make root disks copy-on-write children of the cached image instead of full copies."
    )
    static let configDriveFormat = OptionKey<ConfigDriveFormat>.choice(
        group,
        "config_drive_format",
        default: .iso9660,
        traits: .perHost,
        "File system of config drives."
    )
    static let shutdownTimeout = OptionKey<Duration>.seconds(
        group,
        "shutdown_timeout",
        default: 60,
        traits: [.reloadable, .perHost],
        "How long a guest may take to shut down before it is switched off."
    )
    static let pluggingTimeout = OptionKey<Duration>.seconds(
        group,
        "vif_plugging_timeout",
        default: 300,
        in: 0...86_400,
        "How long a boot under Nova waits until neutron has connected its ports; 0: not at all."
    )
    static let pluggingIsFatal = OptionKey<Bool>.boolean(
        group,
        "vif_plugging_is_fatal",
        default: true,
        "Whether a boot fails when neutron has not connected its ports in time."
    )
    static let resumeGuestsStateOnHostBoot = OptionKey<Bool>.boolean(
        group,
        "resume_guests_state_on_host_boot",
        default: false,
        traits: .perHost,
        "Start the instances that ran when the machine went down."
    )
    static let debug = OptionKey<Bool>.boolean(
        group,
        "debug",
        default: false,
        traits: .reloadable,
        "Log at least at the level debug."
    )
    static let logLevel = OptionKey<LogLevel>.choice(
        group,
        "log_level",
        default: .info,
        traits: .reloadable,
        "The least severe level that is logged."
    )
    static let logFormat = OptionKey<LogFormat>.choice(
        group,
        "log_format",
        default: .text,
        "Form of a log line."
    )
    static let logFile = OptionKey<String?>.optional(
        group,
        "log_file",
        kind: .path,
        sampleDefault: "<standard error>",
        "File the log is appended to; it is opened anew on SIGHUP.",
        check: ValueParser.path
    )

    static let all: [OptionDefinition] = [
        transportURL.definition, controlExchange.definition, computeTopic.definition, computeAltTopic.definition,
        rpcResponseTimeout.definition, executorThreadPoolSize.definition, rpcPingEnabled.definition,
        jsonParser.definition, host.definition, hosts.definition, myIP.definition, statePath.definition,
        backend.definition,
        pluggingTimeout.definition, pluggingIsFatal.definition, useCowImages.definition, configDriveFormat.definition,
        shutdownTimeout.definition,
        resumeGuestsStateOnHostBoot.definition, debug.definition, logLevel.definition, logFormat.definition,
        logFile.definition,
    ]
}

/// `[compute]`, Nova's group.
package enum ComputeOptions {
    static let group = "compute"

    static let shutdownRetryInterval = OptionKey<Duration>.seconds(
        group,
        "shutdown_retry_interval",
        default: 10,
        in: 1...ValueParser.longestSeconds,
        traits: [.reloadable, .perHost],
        "Pause between two requests to a guest to shut down."
    )

    static let all: [OptionDefinition] = [shutdownRetryInterval.definition]
}
