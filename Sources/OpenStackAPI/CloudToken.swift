import Support

/// A token, and the catalogue that came with it.
struct CloudToken: Sendable {
    let value: Redacted<String>
    /// When a new one is asked for, which is before this one expires.
    let renewal: ContinuousClock.Instant
    let catalog: ServiceCatalog
    /// Tells this token from its successors.
    let number: UInt64
}

/// Where a cloud's services are, as keystone lists them.
struct ServiceCatalog: Sendable, Hashable {
    struct Endpoint: Sendable, Hashable {
        var type: String
        var name: String?
        var interface: String
        var region: String?
        var url: String
    }

    var endpoints: [Endpoint] = []

    /// What cannot be read is left out.
    init(_ value: JSONValue?) {
        for service in value?.arrayValue ?? [] {
            guard let type = service["type"]?.stringValue else { continue }
            for endpoint in service["endpoints"]?.arrayValue ?? [] {
                guard let url = endpoint["url"]?.stringValue, let interface = endpoint["interface"]?.stringValue else {
                    continue
                }
                endpoints.append(
                    Endpoint(
                        type: type,
                        name: service["name"]?.stringValue,
                        interface: interface,
                        region: endpoint["region_id"]?.stringValue ?? endpoint["region"]?.stringValue,
                        url: url
                    )
                )
            }
        }
    }

    /// - Throws: `catalog` when nothing fits.
    func url(_ settings: CloudServiceSettings) throws(OpenStackError) -> String {
        for interface in settings.interfaces {
            // Old files have keystone's former names, as internalURL.
            let wanted = interface.hasSuffix("URL") ? String(interface.dropLast(3)) : interface
            let found = endpoints.first { endpoint in
                endpoint.type == settings.serviceType && endpoint.interface == wanted
                    && (settings.region == nil || endpoint.region == settings.region)
                    && (settings.serviceName == nil || endpoint.name == settings.serviceName)
            }
            if let found { return found.url }
        }
        let region = settings.region.map { " in region \($0)" } ?? ""
        throw OpenStackError(
            .catalog,
            "the catalogue has no endpoint of type \(settings.serviceType)\(region)"
                + " (\(settings.interfaces.joined(separator: ", ")))"
        )
    }
}
