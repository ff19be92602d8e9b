/// What a `nova.conf` says of a compute host's resources, in `[DEFAULT]` under Nova's names. Hosts without a conductor need
/// none of it.
package enum NovaHostOptions {
    private static let group = DefaultOptions.group

    static let cpuRatio = ratio(
        "cpu_allocation_ratio",
        "Virtual processors that may be promised for each of the host's"
    )
    static let ramRatio = ratio("ram_allocation_ratio", "Memory that may be promised for each part of the host's")
    static let diskRatio = ratio("disk_allocation_ratio", "Disk space that may be promised for each part of the host's")
    static let initialCPURatio = initial("initial_cpu_allocation_ratio", 4)
    static let initialRAMRatio = initial("initial_ram_allocation_ratio", 1)
    static let initialDiskRatio = initial("initial_disk_allocation_ratio", 1)
    static let reservedCPUs = OptionKey<Int>.integer(
        group,
        "reserved_host_cpus",
        default: 0,
        in: 0...4096,
        "Processors that are not for guests of Nova's."
    )
    static let reservedMemory = OptionKey<Int>.integer(
        group,
        "reserved_host_memory_mb",
        default: 512,
        in: 0...1_073_741_824,
        "Memory that is not for guests of Nova's."
    )
    static let reservedDisk = OptionKey<Int>.integer(
        group,
        "reserved_host_disk_mb",
        default: 0,
        in: 0...1_073_741_824,
        "Disk space that is not for guests of Nova's."
    )

    private static func ratio(_ name: String, _ what: String) -> OptionKey<Double?> {
        .optionalNumber(
            group,
            name,
            in: 0...1_000_000,
            "\(what); not set, or 0: as placement has it, and initial_\(name) for a new host."
        )
    }

    private static func initial(_ name: String, _ value: Double) -> OptionKey<Double> {
        .number(
            group,
            name,
            default: value,
            in: 0.01...1_000_000,
            "The ratio that a new host begins with, where \(name.dropFirst(8)) is not set."
        )
    }

    static let all: [OptionDefinition] = [
        cpuRatio.definition, ramRatio.definition, diskRatio.definition, initialCPURatio.definition,
        initialRAMRatio.definition, initialDiskRatio.definition, reservedCPUs.definition, reservedMemory.definition,
        reservedDisk.definition,
    ]
}
