/// What differs between two settings, told apart by when it takes effect.
package struct ReloadDifference: Sendable {
    package struct Change: Sendable, Hashable, CustomStringConvertible {
        /// `group.option`, with `host:NAME.` in front for an override.
        package var option: String
        /// The texts as `--print-config` would show them; secrets hidden, `nil` = not set.
        package var old: String?
        package var new: String?

        package var description: String { "\(option): \(old ?? "not set") → \(new ?? "not set")" }
    }

    /// Takes effect at run time.
    package var applied: [Change] = []
    /// Waits for the next start.
    package var needsRestart: [Change] = []

    package var isEmpty: Bool { applied.isEmpty && needsRestart.isEmpty }
}

extension Settings {
    package static func reloadDifference(_ old: Settings, _ new: Settings) -> ReloadDifference {
        old.reloading(new).difference
    }

    /// These settings with everything from `new` that can change at run time.
    ///
    /// Hosts stay as they are; options of a host that is served only in `new` wait for the restart with it.
    package func reloading(_ new: Settings) -> (settings: Settings, difference: ReloadDifference) {
        var difference = ReloadDifference()
        var table = self.table
        let served = Set(hosts.map(\.name))
        for definition in table.registry.definitions {
            let scopes = definition.isPerHost ? [nil] + served.sorted().map(Optional.some) : [nil]
            for host in scopes {
                let key = OptionTable.Key(host: host, option: definition.option)
                let isOverride = self.table.entries[key] != nil || new.table.entries[key] != nil
                guard host == nil || isOverride else { continue }
                let before = ShownValue.text(definition, host: host, in: self.table)
                let after = ShownValue.text(definition, host: host, in: new.table)
                if definition.isReloadable { table.replace(key, with: new.table.entries[key]) }
                guard Self.differs(definition, host: host, self.table, new.table) else { continue }
                let label = host.map { "host:\($0).\(definition.option)" } ?? definition.option.description
                let change = ReloadDifference.Change(option: label, old: before, new: after)
                if definition.isReloadable {
                    difference.applied.append(change)
                } else if definition.hasEffect {
                    difference.needsRestart.append(change)
                }
            }
        }
        return (Settings(table), difference)
    }

    private static func differs(
        _ definition: OptionDefinition,
        host: String?,
        _ old: OptionTable,
        _ new: OptionTable
    ) -> Bool {
        let before = try? old.resolved(definition, host: host)
        let after = try? new.resolved(definition, host: host)
        return before != after
    }
}
