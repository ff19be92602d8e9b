import Support

/// The groups of a `nova.conf` that say how the services of a cloud are found and who asks them; names and defaults are
/// keystoneauth's.
package struct CloudOptions: Sendable {
    static let identity = CloudOptions("keystone_authtoken")
    static let serviceUser = CloudOptions("service_user")
    static let placement = CloudOptions("placement", serviceType: "placement")
    static let neutron = CloudOptions("neutron", serviceType: "network")
    static let glance = CloudOptions("glance", serviceType: "image")

    let group: String
    let authType: OptionKey<String?>
    let authSection: OptionKey<String?>
    let authURL: OptionKey<String?>
    let username: OptionKey<String?>
    let userID: OptionKey<String?>
    let password: OptionKey<Redacted<String>?>
    let userDomainName: OptionKey<String?>
    let userDomainID: OptionKey<String?>
    let projectName: OptionKey<String?>
    let projectID: OptionKey<String?>
    let projectDomainName: OptionKey<String?>
    let projectDomainID: OptionKey<String?>
    let applicationCredentialID: OptionKey<String?>
    let applicationCredentialSecret: OptionKey<Redacted<String>?>
    let caFile: OptionKey<String?>
    let certificateFile: OptionKey<String?>
    let keyFile: OptionKey<String?>
    let insecure: OptionKey<Bool>
    /// `nil`: the group only says who asks.
    let service: ServiceKeys?

    /// How a service is found and asked.
    struct ServiceKeys: Sendable {
        let type: OptionKey<String>
        let name: OptionKey<String?>
        let region: OptionKey<String?>
        let interfaces: OptionKey<[String]>
        let endpointOverride: OptionKey<String?>
        let connectRetries: OptionKey<Int>
        let statusRetries: OptionKey<Int>
        let retryDelay: OptionKey<Duration>
        let timeout: OptionKey<Duration>

        var definitions: [OptionDefinition] {
            [
                type.definition, name.definition, region.definition, interfaces.definition,
                endpointOverride.definition, connectRetries.definition, statusRetries.definition,
                retryDelay.definition, timeout.definition,
            ]
        }
    }

    init(_ group: String, serviceType: String? = nil) {
        self.group = group
        authType = .optional(
            group,
            "auth_type",
            "password, v3password, v3applicationcredential, or none with an endpoint_override. Without a conductor nobody"
                + " asks, and any will do."
        )
        authSection = .optional(group, "auth_section", "Another group of this list that says who asks.")
        authURL = .optional(
            group,
            "auth_url",
            kind: .url,
            "The identity service, as http://controller:5000/v3.",
            check: CloudOptions.url
        )
        username = .optional(group, "username", "Name of the user.")
        userID = .optional(group, "user_id", "Or its identifier.")
        password = .secret(group, "password", "The password.")
        userDomainName = .optional(group, "user_domain_name", "Domain of the user's name.")
        userDomainID = .optional(group, "user_domain_id", "Or its identifier.")
        projectName = .optional(group, "project_name", "The project that tokens are for, as service.")
        projectID = .optional(group, "project_id", "Or its identifier.")
        projectDomainName = .optional(group, "project_domain_name", "Domain of the project's name.")
        projectDomainID = .optional(group, "project_domain_id", "Or its identifier.")
        applicationCredentialID = .optional(group, "application_credential_id", "An application credential.")
        applicationCredentialSecret = .secret(group, "application_credential_secret", "Its secret.")
        caFile = .optional(group, "cafile", "PEM file with the authorities to trust; empty: the system's.")
        certificateFile = .optional(group, "certfile", "PEM file with our certificate.")
        keyFile = .optional(group, "keyfile", "PEM file with its key.")
        insecure = .boolean(group, "insecure", default: false, "Do not check certificates.")
        service = serviceType.map { ServiceKeys(group, $0) }
    }

    var definitions: [OptionDefinition] {
        [
            authType.definition, authSection.definition, authURL.definition, username.definition, userID.definition,
            password.definition, userDomainName.definition, userDomainID.definition, projectName.definition,
            projectID.definition, projectDomainName.definition, projectDomainID.definition,
            applicationCredentialID.definition, applicationCredentialSecret.definition, caFile.definition,
            certificateFile.definition, keyFile.definition, insecure.definition,
        ] + (service?.definitions ?? [])
    }

    /// What is no URL is not quoted: it may hold a password.
    static func url(_ text: String) throws(ValueError) -> String {
        guard text.hasPrefix("http://") || text.hasPrefix("https://"), !text.contains("@"), !text.contains("?") else {
            throw ValueError("is no URL of http or https without password and query")
        }
        return text
    }

    static let groups = [identity, serviceUser, placement, neutron, glance]
    static let all = groups.flatMap(\.definitions)
    /// Other programs have options in these too.
    static let sharedGroups = Set(groups.map(\.group))
}

extension CloudOptions.ServiceKeys {
    init(_ group: String, _ serviceType: String) {
        type = .string(group, "service_type", default: serviceType, "The service's type in the catalogue.")
        name = .optional(group, "service_name", "The service's name in the catalogue; empty: any.")
        region = .optional(group, "region_name", "The region to look in; empty: any.")
        interfaces = .list(
            group,
            "valid_interfaces",
            default: ["internal", "public"],
            "Interfaces of the endpoint; the first that there is is used."
        )
        endpointOverride = .optional(
            group,
            "endpoint_override",
            kind: .url,
            "The endpoint, whatever the catalogue says.",
            check: CloudOptions.url
        )
        connectRetries = .integer(
            group,
            "connect_retries",
            default: 4,
            in: 0...100,
            "How often an exchange is tried again when nobody answers."
        )
        statusRetries = .integer(
            group,
            "status_code_retries",
            default: 4,
            in: 0...100,
            "How often an exchange is tried again when the service answers that it cannot now."
        )
        retryDelay = .seconds(
            group,
            "connect_retry_delay",
            default: 0.5,
            in: 0.01...3600,
            "The first pause between two tries; later ones are longer, up to twenty times as long."
        )
        timeout = .seconds(group, "timeout", default: 60, in: 0.1...86_400, "How long one exchange may take.")
    }
}

extension OptionKey<Redacted<String>?> {
    /// A secret text; an empty one counts as not set.
    static func secret(_ group: String, _ name: String, _ help: String) -> OptionKey<Redacted<String>?> {
        OptionKey<Redacted<String>?>(
            group,
            name,
            kind: .string,
            default: nil,
            fallback: nil,
            traits: .secret,
            help: help
        ) { values throws(ValueError) in
            guard let text = values.last, !text.isEmpty else { return nil }
            return Redacted(text)
        }
    }
}
