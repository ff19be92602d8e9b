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

    static let ports = OptionKey<String?>.optional(
        group,
        "ports",
        traits: .perHost,
        "Ports that arriving machines and disks are listened for at, as FIRST-LAST; empty: any that is free."
    ) { text throws(ValueError) in
        _ = try portRange(text)
        return text
    }
    static let downtime = OptionKey<Duration>.milliseconds(
        group,
        "downtime_ms",
        default: 300,
        in: 1...60_000,
        traits: .perHost,
        "How long a real machine may stand still at the switch-over, at first."
    )
    static let maximumDowntime = OptionKey<Duration>.milliseconds(
        group,
        "max_downtime_ms",
        default: 2000,
        in: 1...60_000,
        traits: .perHost,
        "The same for one that changes its memory so fast that the transfer gets no nearer to its end."
    )
    static let autoConverge = OptionKey<Bool>.boolean(
        group,
        "auto_converge",
        default: true,
        traits: .perHost,
        "Slow down a real machine that changes its memory faster than it can be sent."
    )
    static let completionTimeout = OptionKey<Duration>.seconds(
        group,
        "completion_timeout",
        default: 0,
        in: 0...604_800,
        traits: .perHost,
        "How long the memory of a real machine is copied before timeout_action; 0: as long as it takes."
    )
    static let timeoutAction = OptionKey<MigrationTimeoutAction>.choice(
        group,
        "timeout_action",
        default: .abort,
        traits: .perHost,
        "What is done then: abort (the machine stays) or pause (it stands still until the rest is sent)."
    )
    static let channels = OptionKey<Int>.integer(
        group,
        "channels",
        default: 1,
        in: 1...64,
        traits: .perHost,
        "Connections that carry the memory of a real machine; more than one for networks that one cannot fill."
    )
    static let tls = OptionKey<Bool>.boolean(
        group,
        "tls",
        default: false,
        traits: .perHost,
        "Encrypt machines and disks on their way, and let only hosts in that have a certificate. All hosts or none."
    )
    static let tlsAuthorityFile = OptionKey<String?>.optional(
        group,
        "tls_ca_file",
        kind: .path,
        traits: .perHost,
        "PEM file with the authority that has signed the hosts' certificates."
    )
    static let tlsCertificateFile = OptionKey<String?>.optional(
        group,
        "tls_cert_file",
        kind: .path,
        traits: .perHost,
        "PEM file with this host's certificate, for both directions."
    )
    static let tlsKeyFile = OptionKey<String?>.optional(
        group,
        "tls_key_file",
        kind: .path,
        traits: .perHost,
        "PEM file with the key of that certificate."
    )
    static let tlsName = OptionKey<String?>.optional(
        group,
        "tls_name",
        traits: .perHost,
        "DNS name in this host's certificate that others are to look for; empty: they look for its address."
    )

    static let all: [OptionDefinition] = [
        address.definition, ports.definition, bandwidth.definition, progressTimeout.definition,
        switchoverTimeout.definition, downtime.definition, maximumDowntime.definition, autoConverge.definition,
        completionTimeout.definition, timeoutAction.definition, channels.definition, tls.definition,
        tlsAuthorityFile.definition, tlsCertificateFile.definition, tlsKeyFile.definition, tlsName.definition,
        peerTimeout.definition, retryInterval.definition,
    ]

    /// "49152-49215", or a single port.
    static func portRange(_ text: String) throws(ValueError) -> ClosedRange<Int> {
        let ends = text.split(separator: "-", omittingEmptySubsequences: false)
            .map { Int($0.filter { $0 != " " }) ?? 0 }
        guard (1...2).contains(ends.count), let first = ends.first, let last = ends.last,
            (1...65535).contains(first), (first...65535).contains(last)
        else { throw ValueError("\(ValueParser.quoted(text)) is no range of ports, such as 49152-49215") }
        return first...last
    }
}
