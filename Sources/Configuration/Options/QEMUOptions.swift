/// `[qemu]`: the machines of hosts with `backend = qemu`.
enum QEMUOptions {
    static let group = "qemu"

    static let binary = OptionKey<String>.string(
        group,
        "binary",
        default: "qemu-system-x86_64",
        traits: .perHost,
        "QEMU: a name looked for in PATH, or an absolute path.",
        check: ValueChecks.atLeastOneByteOfText
    )
    static let machineType = OptionKey<String>.string(
        group,
        "machine_type",
        default: "",
        traits: .perHost,
        "Versioned machine type of new machines; empty: the pc-q35 of the QEMU that is installed.",
        check: word
    )
    static let cpuModel = OptionKey<String>.string(
        group,
        "cpu_model",
        default: "",
        traits: .perHost,
        "Processor that guests see; empty: the host's own with kvm, qemu64 with tcg.",
        check: word
    )
    static let acceleration = OptionKey<QEMUAcceleration>.choice(
        group,
        "acceleration",
        default: .auto,
        traits: .perHost,
        "How guests are run: by the processor (kvm) or emulated (tcg); auto: kvm where it can work."
    )
    static let diskBus = OptionKey<QEMUDiskBus>.choice(
        group,
        "disk_bus",
        default: .virtio,
        traits: .perHost,
        "How guests see root disks, ephemeral disks and config drives."
    )
    static let network = OptionKey<QEMUNetwork>.choice(
        group,
        "network",
        default: .none,
        traits: .perHost,
        "What interfaces are connected to: a bridge (tap), QEMU's own address translation (user), nothing."
    )
    static let user = OptionKey<String>.string(
        group,
        "user",
        default: "",
        traits: .perHost,
        "User that QEMU runs as when vmopsd is root; empty: the same as vmopsd."
    )
    static let sandbox = OptionKey<Bool>.boolean(
        group,
        "sandbox",
        default: true,
        traits: .perHost,
        "Have QEMU refuse itself the system calls that it does not need."
    )
    static let commandTimeout = OptionKey<Duration>.seconds(
        group,
        "command_timeout",
        default: 15,
        in: 0.1...3600,
        traits: .perHost,
        "How long QEMU may take to answer a command."
    )
    static let startTimeout = OptionKey<Duration>.seconds(
        group,
        "start_timeout",
        default: 30,
        in: 0.1...3600,
        traits: .perHost,
        "How long QEMU may take from its start to its first answer."
    )
    static let adoptTimeout = OptionKey<Duration>.seconds(
        group,
        "adopt_timeout",
        default: 3,
        in: 0.1...3600,
        traits: .perHost,
        "How long the start of vmopsd waits for a QEMU that it finds running."
    )
    static let quitTimeout = OptionKey<Duration>.seconds(
        group,
        "quit_timeout",
        default: 5,
        in: 0.1...3600,
        traits: .perHost,
        "How long QEMU may take to end when told to, before it is killed."
    )
    static let unplugTimeout = OptionKey<Duration>.seconds(
        group,
        "unplug_timeout",
        default: 20,
        in: 0.1...3600,
        traits: .perHost,
        "How long a running guest may take to let go of a device that is detached."
    )
    static let consolePipeBytes = OptionKey<Int>.integer(
        group,
        "console_pipe_bytes",
        default: 262_144,
        in: 4096...1_048_576,
        traits: .perHost,
        "Console output kept while nobody reads; when it is full the guest's output waits."
    )
    static let syncState = OptionKey<Bool>.boolean(
        group,
        "sync_state",
        default: true,
        traits: .perHost,
        "Whether the machines' records survive a power cut too."
    )

    static let all: [OptionDefinition] = [
        binary.definition, machineType.definition, cpuModel.definition, acceleration.definition, diskBus.definition,
        network.definition, user.definition, sandbox.definition, commandTimeout.definition, startTimeout.definition,
        adoptTimeout.definition, quitTimeout.definition, unplugTimeout.definition, consolePipeBytes.definition,
        syncState.definition,
    ]

    /// What is a word of its own on QEMU's command line, and holds no options.
    private static func word(_ text: String) throws(ValueError) -> String {
        guard text.utf8.allSatisfy({ $0 > 0x20 && $0 < 0x7F && $0 != UInt8(ascii: ",") }), !text.hasPrefix("-") else {
            throw ValueError("\(ValueParser.quoted(text)) is no name of a machine type or processor")
        }
        return text
    }
}
