/// Finds values that are not of their option's form, and values that do not go together.
struct SettingsCheck {
    let table: OptionTable
    private(set) var problems: [Problem] = []

    init(table: OptionTable) { self.table = table }

    /// Every option by itself, defaults included because they may refer to others.
    mutating func values() {
        for definition in table.registry.definitions { value(definition, host: nil) }
        let overrides = table.entries.keys.filter { $0.host != nil }
        let sorted = overrides.sorted { ($0.host ?? "", $0.option) < ($1.host ?? "", $1.option) }
        for key in sorted {
            if let definition = table.registry[key.option] { value(definition, host: key.host) }
        }
    }

    private mutating func value(_ definition: OptionDefinition, host: String?) {
        let label = host.map { "host:\($0).\(definition.option)" } ?? definition.option.description
        let origin = table.entry(definition, host: host)?.origin ?? .builtIn
        do throws(ValueError) {
            guard let texts = try table.resolved(definition, host: host) else { return }
            guard let complaint = definition.complaint(texts) else { return }
            problems.append(Problem(.error, at: origin, option: label, complaint))
        } catch {
            problems.append(Problem(.error, at: origin, option: label, error.message))
        }
    }

    /// What no option can tell by itself.
    mutating func relations(mentionedHosts: [String: Origin]) {
        let reader = SettingsReader(table: table)
        hosts(reader, mentioned: mentionedHosts)
        consoles(reader, hosts: Settings.hostNames(reader))
        nova(reader)
        cloud(reader)
        migrations(reader, hosts: Settings.hostNames(reader))
        if !(reader[AdminOptions.enabled]) { return messaging(reader) }
        if let address = try? ListenAddress(parsing: reader[AdminOptions.listen]), !address.isLocal,
            !reader[AdminOptions.allowRemote]
        {
            error(AdminOptions.listen.definition, "\(address) can be reached by others; set allow_remote to allow that")
        }
        messaging(reader)
    }

    private mutating func hosts(_ reader: SettingsReader, mentioned: [String: Origin]) {
        let names = Settings.hostNames(reader)
        let definition =
            reader[DefaultOptions.hosts].isEmpty ? DefaultOptions.host.definition : DefaultOptions.hosts.definition
        let topics = [reader[DefaultOptions.computeTopic], reader[DefaultOptions.computeAltTopic]]
        var seen: Set<String> = []
        for name in names {
            do throws(ValueError) {
                _ = try HostName.check(name)
                if let complaint = HostName.complaint(about: name, topics: topics) { error(definition, complaint) }
            } catch let failure {
                // The single `host` has been checked by itself, unless it is empty, which counts as not set.
                let isChecked = definition.name == DefaultOptions.host.definition.name && !name.isEmpty
                if !isChecked { error(definition, failure.message) }
            }
            if !seen.insert(name).inserted { error(definition, "host \(ValueParser.quoted(name)) is listed twice") }
        }
        for (host, origin) in mentioned.sorted(by: { $0.key < $1.key }) where !seen.contains(host) {
            let hint = NearestName.hint(for: host, among: names)
            problems.append(Problem(.warning, at: origin, "host \(ValueParser.quoted(host)) is not served here\(hint)"))
        }
    }

    private mutating func consoles(_ reader: SettingsReader, hosts: [String]) {
        for host in [nil] + hosts.map(Optional.some) {
            let own = SettingsReader(table: table, host: host)
            guard own[ConsoleOptions.reconnectInitial] > own[ConsoleOptions.reconnectMax] else { continue }
            if host == nil || overrides(host, ConsoleOptions.reconnectInitial, ConsoleOptions.reconnectMax) {
                error(ConsoleOptions.reconnectInitial.definition, host: host, "is larger than reconnect_max_ms")
            }
        }
    }

    private mutating func nova(_ reader: SettingsReader) {
        for entry in reader[NovaOptions.objectVersions] {
            let parts = entry.split(separator: ":", omittingEmptySubsequences: false)
            let numbers = parts.count == 2 ? parts[1].split(separator: ".", omittingEmptySubsequences: false) : []
            if parts.count == 2, !parts[0].isEmpty, numbers.count == 2, numbers.allSatisfy({ UInt16($0) != nil }) {
                continue
            }
            error(NovaOptions.objectVersions.definition, "\(ValueParser.quoted(entry)) is not of the form Class:1.0")
        }
    }

    /// A file may be there for other programs' sake: as long as nobody asks a cloud, it does not matter how.
    private mutating func cloud(_ reader: SettingsReader) {
        guard reader[NovaOptions.conductor] == .rpc else { return }
        for options in CloudOptions.groups {
            guard let type = reader[options.authType], !CloudAccess.authTypes.contains(type) else { continue }
            let known = CloudAccess.authTypes.joined(separator: ", ")
            error(options.authType.definition, "\(ValueParser.quoted(type)) is not one of \(known)")
        }
    }

    /// Without its files TLS would be found missing by the first migration.
    private mutating func migrations(_ reader: SettingsReader, hosts: [String]) {
        for host in [nil] + hosts.map(Optional.some) {
            let own = SettingsReader(table: table, host: host)
            guard own[MigrationOptions.tls] else { continue }
            let files = [
                MigrationOptions.tlsAuthorityFile, MigrationOptions.tlsCertificateFile, MigrationOptions.tlsKeyFile,
            ]
            for file in files where own[file] == nil {
                error(file.definition, host: host, "is needed with tls")
            }
            if files.contains(where: { own[$0] == nil }) { return }
        }
    }

    private func overrides(_ host: String?, _ keys: OptionKey<Duration>...) -> Bool {
        keys.contains { table.entries[OptionTable.Key(host: host, option: $0.definition.option)] != nil }
    }

    private mutating func messaging(_ reader: SettingsReader) {
        let exchange = reader[DefaultOptions.controlExchange]
        let allowed = reader[LimitOptions.allowedExchanges]
        if !allowed.isEmpty, !allowed.contains(exchange) {
            error(DefaultOptions.controlExchange.definition, "is not one of [limits] allowed_exchanges")
        }
        if reader[DefaultOptions.computeTopic] == reader[DefaultOptions.computeAltTopic] {
            error(DefaultOptions.computeAltTopic.definition, "is the same as compute_topic")
        }
        // The broker refuses these (oslo.messaging wire, sections 2.3 and 2.4).
        let isQuorum = reader[MessagingOptions.rabbitQuorumQueue]
        if reader[MessagingOptions.rabbitHAQueues], isQuorum || reader[MessagingOptions.rabbitTransientQuorumQueue] {
            error(MessagingOptions.rabbitHAQueues.definition, "cannot be combined with quorum queues")
        }
        if reader[MessagingOptions.amqpAutoDelete], isQuorum {
            error(MessagingOptions.amqpAutoDelete.definition, "cannot be combined with rabbit_quorum_queue")
        }
        if reader[MessagingOptions.rabbitStreamFanout] {
            if !reader[MessagingOptions.rabbitTransientQuorumQueue] {
                error(MessagingOptions.rabbitStreamFanout.definition, "needs rabbit_transient_quorum_queue")
            }
            if reader[MessagingOptions.rabbitQosPrefetchCount] == 0 {
                error(MessagingOptions.rabbitStreamFanout.definition, "needs rabbit_qos_prefetch_count above 0")
            }
        }
        if reader[TLSConfigurationOptions.keyFile] != nil, reader[TLSConfigurationOptions.certificateFile] == nil {
            error(TLSConfigurationOptions.keyFile.definition, "needs ssl_cert_file")
        }
        if reader[MessagingOptions.rabbitLoginMethod] == .rabbitCRDemo {
            error(MessagingOptions.rabbitLoginMethod.definition, "RABBIT-CR-DEMO is not supported")
        }
        let drivers = ["messaging", "messagingv2", "noop", "log"]
        for driver in reader[NotificationOptions.driver] where !drivers.contains(driver) {
            let message = "\(ValueParser.quoted(driver)) is not one of \(drivers.joined(separator: ", "))"
            error(NotificationOptions.driver.definition, message)
        }
    }

    private mutating func error(_ definition: OptionDefinition, host: String? = nil, _ message: String) {
        let label = host.map { "host:\($0).\(definition.option)" } ?? definition.option.description
        let origin = table.entry(definition, host: host)?.origin ?? .builtIn
        problems.append(Problem(.error, at: origin, option: label, message))
    }
}
