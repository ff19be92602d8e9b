/// `[nova]`: hosts as compute services of a control plane of Nova's (Nova's compute RPC, chapter 10).
package enum NovaOptions {
    static let group = "nova"

    static let computeAPI = OptionKey<Bool>.boolean(
        group,
        "compute_api",
        default: false,
        "Answer Nova's own compute RPC, version 6.x, beside this project's methods. A conductor implies it."
    )
    static let conductor = OptionKey<NovaConductor>.choice(
        group,
        "conductor",
        default: .none,
        "Where states of instances and migrations are saved: none (nowhere), or rpc: through nova-conductor."
    )
    static let conductorTopic = OptionKey<String>.string(
        group,
        "conductor_topic",
        default: "conductor",
        "The conductor's topic.",
        check: ValueChecks.routingWord
    )
    static let conductorPatience = OptionKey<Duration>.seconds(
        group,
        "conductor_patience",
        default: 600,
        in: 1...86_400,
        "How long a save is tried again while no conductor answers. Its operation does not end before."
    )
    static let objectVersions = OptionKey<[String]>.list(
        group,
        "object_versions",
        "Versions to send objects in, in place of those of Nova 26, as Instance:2.8."
    )
    static let responseTimeout = OptionKey<Duration>.seconds(
        group,
        "rpc_response_timeout",
        default: 60,
        in: 1...3600,
        "How long an answer of the conductor or of another compute service is waited for."
    )
    static let shutdownTimeout = OptionKey<Duration>.seconds(
        group,
        "shutdown_timeout",
        default: 60,
        in: 0...86_400,
        "How long a guest that Nova stops may take to shut itself down."
    )

    static let serviceVersion = OptionKey<Int>.integer(
        group,
        "service_version",
        default: 64,
        in: 1...9999,
        "The version in the service's record. A control plane sends what services of the lowest version understand, and"
            + " may refuse old ones: 64 for Nova 26, 74 for Nova 34."
    )
    static let reportInterval = OptionKey<Duration>.seconds(
        group,
        "report_interval",
        default: 10,
        in: 0.1...3600,
        "How often a host gives a sign of life. After service_down_time without one the control plane takes it for dead."
    )
    static let resourceInterval = OptionKey<Duration>.seconds(
        group,
        "update_resources_interval",
        default: 60,
        in: 0.1...86_400,
        "How often a host's resources are looked at; they are reported when they have changed, also after an operation."
    )
    static let syncInterval = OptionKey<Duration>.seconds(
        group,
        "sync_power_state_interval",
        default: 600,
        in: 0...86_400,
        "How often the instances' states are compared with the database's; 0: only at the start and when one changes."
    )
    static let deletedAction = OptionKey<NovaDeletedAction>.choice(
        group,
        "running_deleted_instance_action",
        default: .reap,
        "What becomes of an instance that was deleted while its host was away: noop, log, shutdown, or reap (removed)."
    )
    static let reservedMemory = OptionKey<Int?>.optionalInteger(
        group,
        "reserved_host_memory_mb",
        in: 0...1_073_741_824,
        "In place of [DEFAULT] reserved_host_memory_mb."
    )
    static let reservedDisk = OptionKey<Int?>.optionalInteger(
        group,
        "reserved_host_disk_mb",
        in: 0...1_073_741_824,
        "In place of [DEFAULT] reserved_host_disk_mb."
    )
    static let cpuRatio = ratio("cpu_allocation_ratio")
    static let ramRatio = ratio("ram_allocation_ratio")
    static let diskRatio = ratio("disk_allocation_ratio")
    static let address = OptionKey<String>.string(
        group,
        "my_ip",
        default: "",
        "The address in the host's record; empty: [DEFAULT] my_ip, if the file has that, or else none."
    )

    private static func ratio(_ name: String) -> OptionKey<Double?> {
        .optionalNumber(group, name, in: 0...1_000_000, "In place of [DEFAULT] \(name).")
    }

    static let all: [OptionDefinition] = [
        computeAPI.definition, conductor.definition, conductorTopic.definition, conductorPatience.definition,
        objectVersions.definition, responseTimeout.definition, shutdownTimeout.definition, serviceVersion.definition,
        reportInterval.definition, resourceInterval.definition, syncInterval.definition, deletedAction.definition,
        reservedMemory.definition, reservedDisk.definition, cpuRatio.definition, ramRatio.definition,
        diskRatio.definition, address.definition,
    ]
}
