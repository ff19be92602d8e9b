/// All options there are, in the order documents show them.
package struct OptionRegistry: Sendable {
    package static let standard = OptionRegistry(
        [
            DefaultOptions.all, NovaHostOptions.all, MessagingOptions.all, NotificationOptions.all, ComputeOptions.all,
            ConsoleOptions.all,
            HyperVOptions.all, QEMUOptions.all, SimulatedOptions.all, PluginOptions.all, ImageOptions.all,
            ImageCacheOptions.all, MigrationOptions.all, NovaOptions.all, NovaNotificationOptions.all, CloudOptions.all,
            AdminOptions.all,
            JournalOptions.all, LimitOptions.all,
        ].flatMap { $0 },
        reservedGroups: [],
        sharedGroups: CloudOptions.sharedGroups.union([NovaNotificationOptions.group])
    )

    package let definitions: [OptionDefinition]
    /// Groups of ours whose options other parts of the program know; nothing in them is remarked upon here.
    package let reservedGroups: Set<String>
    /// Groups that files of other programs have too: what is unknown in them is ignored, unless it looks like one of ours.
    package let sharedGroups: Set<String>
    /// The groups that have definitions, in order.
    package let groups: [String]
    private let byName: [OptionName: Int]

    init(_ definitions: [OptionDefinition], reservedGroups: Set<String>, sharedGroups: Set<String> = []) {
        self.definitions = definitions
        self.reservedGroups = reservedGroups
        self.sharedGroups = sharedGroups
        var groups: [String] = []
        var byName: [OptionName: Int] = [:]
        for (position, definition) in definitions.enumerated() {
            if groups.last != definition.group { groups.append(definition.group) }
            for name in [definition.name] + definition.aliases {
                byName[OptionName(definition.group, name)] = position
            }
        }
        self.groups = groups
        self.byName = byName
    }

    /// The definition by its name or an older one.
    package subscript(name: OptionName) -> OptionDefinition? {
        byName[name].map { definitions[$0] }
    }

    package func definitions(of group: String) -> some Sequence<OptionDefinition> {
        definitions.lazy.filter { $0.group == group }
    }

    /// The group's name as the registry spells it: `DEFAULT` in capitals, the others in small letters.
    package static func normalized(group: String) -> String {
        group.uppercased() == "DEFAULT" ? "DEFAULT" : group.lowercased()
    }

    package func knows(group: String) -> Bool { groups.contains(group) || reservedGroups.contains(group) }

    /// The option a line of `[host:NAME]` means: `group.option`, or an option alone when only one group has it or
    /// `[DEFAULT]` does.
    func hostOption(_ text: String) -> OptionDefinition? {
        if let dot = text.firstIndex(of: ".") {
            let group = Self.normalized(group: String(text[..<dot]))
            return self[OptionName(group, String(text[text.index(after: dot)...]))]
        }
        if let plain = self[OptionName(DefaultOptions.group, text)] { return plain }
        let matches = groups.compactMap { self[OptionName($0, text)] }.filter(\.isPerHost)
        return matches.count == 1 ? matches.first : nil
    }
}
