/// `[migration]`: live migration between hosts.
package enum MigrationOptions {
    static let group = "migration"

    static let address = OptionKey<String>.string(
        group,
        "address",
        default: "127.0.0.1",
        traits: .perHost,
        "Address of this host's on the migration network: arriving machines are listened for there, nowhere else."
    )
    static let bandwidth = OptionKey<Int>.integer(
        group,
        "bandwidth",
        default: 0,
        in: 0...1 << 40,
        traits: .perHost,
        "Most bytes a second that one migration sends; 0: as many as there is room for."
    )
    static let progressTimeout = OptionKey<Duration>.seconds(
        group,
        "progress_timeout",
        default: 30,
        in: 1...3600,
        traits: .perHost,
        "A transfer that gets no further for so long is given up, and the machine stays."
    )
    static let switchoverTimeout = OptionKey<Duration>.seconds(
        group,
        "switchover_timeout",
        default: 10,
        in: 1...3600,
        traits: .perHost,
        "The same while the machine stands still."
    )
    static let peerTimeout = OptionKey<Duration>.seconds(
        group,
        "peer_timeout",
        default: 30,
        in: 2...3600,
        "Another host that is asked and gives no sign of life for so long is taken for dead."
    )
    static let retryInterval = OptionKey<Duration>.seconds(
        group,
        "retry_interval",
        default: 10,
        in: 0.1...3600,
        traits: [.reloadable, .perHost],
        "How often what is left to do after a migration is tried again."
    )

    static let all: [OptionDefinition] = [
        address.definition, bandwidth.definition, progressTimeout.definition, switchoverTimeout.definition,
        peerTimeout.definition, retryInterval.definition,
    ]
}
