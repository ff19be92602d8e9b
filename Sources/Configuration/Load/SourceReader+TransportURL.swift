import OsloMessaging

extension SourceReader {
    /// Options behind the `?` of the transport URL win over the file, and unknown ones are errors as with
    /// oslo.messaging (oslo.messaging wire, section 13). A URL that cannot be read is left to the check of values.
    mutating func readTransportURLs() {
        if let (url, origin) = url(DefaultOptions.transportURL.definition) {
            for option in url.options {
                let name = OptionName(MessagingOptions.group, option.name)
                write(urlOption: name, option.value, origin)
            }
            remark(url.warnings, on: DefaultOptions.transportURL.definition, origin)
        }
        if let (url, origin) = url(NotificationOptions.transportURL.definition) {
            var warnings = url.warnings
            if !url.options.isEmpty { warnings.append("options behind the ? are not used for notifications") }
            remark(warnings, on: NotificationOptions.transportURL.definition, origin)
        }
    }

    private func url(_ definition: OptionDefinition) -> (TransportURL, Origin)? {
        guard let texts = (try? table.resolved(definition, host: nil)) ?? nil, let text = texts.last,
            let url = try? TransportURL(text)
        else { return nil }
        return (url, table.entry(definition, host: nil)?.origin ?? .builtIn)
    }

    private mutating func remark(_ warnings: [String], on definition: OptionDefinition, _ origin: Origin) {
        for warning in warnings {
            add(Problem(.warning, at: origin, option: definition.option.description, warning))
        }
    }
}
