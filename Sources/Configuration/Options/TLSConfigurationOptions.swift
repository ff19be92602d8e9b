/// The `ssl` options of `[oslo_messaging_rabbit]` (oslo.messaging wire, section 13).
package enum TLSConfigurationOptions {
    private static let group = MessagingOptions.group

    static let ssl = OptionKey<Bool>.boolean(group, "ssl", default: false, "Connect with TLS.")
    static let version = OptionKey<String?>.optional(
        group,
        "ssl_version",
        traits: .noEffect,
        "Version of TLS; the best that both sides know is taken."
    )
    static let keyFile = OptionKey<String?>.optional(
        group,
        "ssl_key_file",
        "PEM file with the key of our certificate."
    )
    static let certificateFile = OptionKey<String?>.optional(
        group,
        "ssl_cert_file",
        "PEM file with our certificate."
    )
    static let caFile = OptionKey<String?>.optional(
        group,
        "ssl_ca_file",
        "PEM file with the authorities that the broker's certificate must come from; empty: the system's."
    )
    static let enforceHostNameVerification = OptionKey<Bool>.boolean(
        group,
        "ssl_enforce_hostname_verification",
        default: true,
        "The broker's certificate must be for the host of the transport URL."
    )
    static let enforceFIPSMode = OptionKey<Bool>.boolean(
        group,
        "ssl_enforce_fips_mode",
        default: false,
        traits: .noEffect,
        "FIPS mode is the system's matter."
    )

    static let all: [OptionDefinition] = [
        ssl.definition, version.definition, keyFile.definition, certificateFile.definition, caFile.definition,
        enforceHostNameVerification.definition, enforceFIPSMode.definition,
    ]
}
