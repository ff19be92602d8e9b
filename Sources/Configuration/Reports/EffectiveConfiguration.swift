/// The values in force, each with where it comes from; a configuration file again, but for the secrets.
package enum EffectiveConfiguration {
    package static func text(_ settings: Settings) -> String {
        let table = settings.table
        var sections = table.registry.groups.map { group in
            let options = table.registry.definitions(of: group).map { entry($0, host: nil, table, name: $0.name) }
            return "[\(group)]\n" + options.joined()
        }
        for host in settings.hosts {
            let own = table.registry.definitions.filter {
                table.entries[OptionTable.Key(host: host.name, option: $0.option)] != nil
            }
            guard !own.isEmpty else { continue }
            let options = own.map { definition in
                let isPlain = definition.group == DefaultOptions.group
                let name = isPlain ? definition.name : definition.option.description
                return entry(definition, host: host.name, table, name: name)
            }
            sections.append("[host:\(host.name)]\n" + options.joined())
        }
        return sections.joined(separator: "\n")
    }

    private static func entry(_ definition: OptionDefinition, host: String?, _ table: OptionTable, name: String)
        -> String
    {
        guard let entry = table.entry(definition, host: host) else { return "# not set\n#\(name) =\n" }
        let texts: [String]
        if definition.kind == .multi {
            texts = ((try? table.resolved(definition, host: host)) ?? nil) ?? []
        } else {
            texts = ShownValue.text(definition, host: host, in: table).map { [$0] } ?? []
        }
        let lines = texts.map { "\(name) = \(ShownValue.written($0))" }.map {
            $0.hasSuffix(" ") ? String($0.dropLast()) : $0
        }
        return "# \(entry.origin)\n" + lines.map { "\($0)\n" }.joined()
    }
}
