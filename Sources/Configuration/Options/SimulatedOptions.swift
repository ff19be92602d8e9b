/// `[simulated]`: how simulated hosts and their guests behave.
package enum SimulatedOptions {
    static let group = "simulated"
    private static let both: OptionTraits = [.reloadable, .perHost]

    static let memoryMB = OptionKey<Int>.integer(
        group,
        "memory_mb",
        default: 1_048_576,
        in: 1...1 << 40,
        traits: .perHost,
        "Memory the host says it has."
    )
    static let vcpus = OptionKey<Int>.integer(
        group,
        "vcpus",
        default: 256,
        in: 1...1 << 20,
        traits: .perHost,
        "Processors the host says it has."
    )
    static let diskGB = OptionKey<Int>.integer(
        group,
        "disk_gb",
        default: 10_240,
        in: 1...1 << 30,
        traits: .perHost,
        "Disk space the host says it has."
    )
    static let bootLines = OptionKey<Int>.integer(
        group,
        "boot_lines",
        default: 20,
        in: 0...10_000_000,
        traits: both,
        "Lines a guest prints while it boots."
    )
    static let bootLineInterval = OptionKey<Duration>.milliseconds(
        group,
        "boot_line_interval_ms",
        default: 0,
        in: 0...3_600_000,
        traits: both,
        "Pause between them."
    )
    static let loginPrompt = OptionKey<Bool>.boolean(
        group,
        "login_prompt",
        default: true,
        traits: both,
        "End the boot with a login prompt that echoes input."
    )
    static let tickInterval = OptionKey<Duration>.milliseconds(
        group,
        "tick_interval_ms",
        default: 0,
        in: 0...3_600_000,
        traits: both,
        "Pause between the numbered lines of a running guest; 0: none are printed."
    )
    static let shutdown = OptionKey<Duration>.milliseconds(
        group,
        "shutdown_ms",
        default: 100,
        in: 0...86_400_000,
        traits: both,
        "How long a guest takes to shut down when asked to."
    )
    static let ignoreShutdown = OptionKey<Bool>.boolean(
        group,
        "ignore_shutdown",
        default: false,
        traits: both,
        "Guests do not heed a request to shut down."
    )
    static let crashAfter = OptionKey<Duration>.milliseconds(
        group,
        "crash_after_ms",
        default: 0,
        in: 0...86_400_000,
        traits: both,
        "Guests crash this long after they started; 0: never."
    )

    static func delay(_ operation: SimulatedOperation) -> OptionKey<Duration> {
        .milliseconds(
            group,
            "delay_\(operation.rawValue)_ms",
            default: 0,
            in: 0...86_400_000,
            traits: both,
            "How long \(operation.rawValue) takes beyond its real work."
        )
    }

    static func fault(_ operation: SimulatedOperation) -> OptionKey<FaultRule?> {
        OptionKey<FaultRule?>(
            group,
            "fault_\(operation.rawValue)",
            kind: .fault,
            default: "",
            fallback: nil,
            traits: both,
            help: "When \(operation.rawValue) fails: always, nth:N (the Nth time only) or every:N (each Nth time), "
                + "and after a space the error code, else failed; empty: never."
        ) { values throws(ValueError) in try FaultRule.parse(values.last ?? "") }
    }

    static let all: [OptionDefinition] =
        [
            memoryMB.definition, vcpus.definition, diskGB.definition, bootLines.definition,
            bootLineInterval.definition, loginPrompt.definition, tickInterval.definition, shutdown.definition,
            ignoreShutdown.definition, crashAfter.definition,
        ]
        + SimulatedOperation.allCases.map { delay($0).definition }
        + SimulatedOperation.allCases.map { fault($0).definition }
}
