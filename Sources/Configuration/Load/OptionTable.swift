/// What was written for every option, before it is turned into values.
///
/// A value is looked up for a host first and for the whole process then; an option nobody wrote has its default.
package struct OptionTable: Sendable {
    /// One option of the whole process (`host` nil) or of one host.
    struct Key: Sendable, Hashable {
        var host: String?
        var option: OptionName
    }

    struct Entry: Sendable, Hashable {
        /// All values in the order written; only multi-valued options use more than the last.
        var texts: [String]
        var origin: Origin
    }

    let registry: OptionRegistry
    let machineName: String
    private(set) var entries: [Key: Entry] = [:]

    init(registry: OptionRegistry, machineName: String) {
        self.registry = registry
        self.machineName = machineName
    }

    mutating func write(_ text: String, to definition: OptionDefinition, host: String?, origin: Origin) {
        let key = Key(host: host, option: definition.option)
        let earlier = definition.kind == .multi && origin.file != nil ? entries[key]?.texts ?? [] : []
        entries[key] = Entry(texts: earlier + [text], origin: origin)
    }

    mutating func replace(_ key: Key, with entry: Entry?) { entries[key] = entry }

    /// What counts for the option: its texts and where they come from.
    func entry(_ definition: OptionDefinition, host: String?) -> Entry? {
        if let host, let own = entries[Key(host: host, option: definition.option)] { return own }
        if let written = entries[Key(host: nil, option: definition.option)] { return written }
        if let text = definition.defaultText { return Entry(texts: [text], origin: .builtIn) }
        return builtIn(definition).map { Entry(texts: [$0], origin: .builtIn) }
    }

    /// Defaults that depend on the machine.
    private func builtIn(_ definition: OptionDefinition) -> String? {
        definition.option == DefaultOptions.host.definition.option ? machineName : nil
    }

    /// The option's texts with references replaced; `nil` when it is not set.
    func resolved(_ definition: OptionDefinition, host: String?) throws(ValueError) -> [String]? {
        try resolved(definition, host: host, visiting: [])
    }

    private func resolved(
        _ definition: OptionDefinition,
        host: String?,
        visiting: [OptionName]
    ) throws(ValueError) -> [String]? {
        guard let entry = entry(definition, host: host) else { return nil }
        guard !visiting.contains(definition.option) else {
            let circle = (visiting + [definition.option]).map(\.description).joined(separator: " → ")
            throw ValueError("refers to itself: \(circle)")
        }
        var texts: [String] = []
        for text in entry.texts {
            texts.append(
                try Substitution.expand(text) { name throws(ValueError) in
                    guard let target = self.target(name, from: definition.group) else {
                        throw ValueError("$\(name) is not an option")
                    }
                    guard !target.isSecret || definition.isSecret else {
                        throw ValueError("$\(name) is a secret and cannot be used here")
                    }
                    let path = visiting + [definition.option]
                    return try self.resolved(target, host: host, visiting: path)?.last ?? ""
                }
            )
        }
        return texts
    }

    /// `$name` is an option of the same group or else of `[DEFAULT]`; `$group.name` one of that group.
    private func target(_ name: String, from group: String) -> OptionDefinition? {
        if let dot = name.firstIndex(of: ".") {
            let named = OptionRegistry.normalized(group: String(name[..<dot]))
            return registry[OptionName(named, String(name[name.index(after: dot)...]))]
        }
        return registry[OptionName(group, name)] ?? registry[OptionName(DefaultOptions.group, name)]
    }
}

/// Texts may be secrets: printing settings must not show them.
extension OptionTable: CustomStringConvertible, CustomReflectable {
    package var description: String { "\(entries.count) values" }
    package var customMirror: Mirror { Mirror(self, children: []) }
}
