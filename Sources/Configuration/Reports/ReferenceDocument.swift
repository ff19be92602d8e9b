/// The reference part of `docs/configuration.md`: a table of the options of every group.
package enum ReferenceDocument {
    package static func markdown(_ registry: OptionRegistry = .standard) -> String {
        registry.groups.map { group in
            let rows = registry.definitions(of: group).map(row)
            return "### [\(group)]\n\n| Option | Type | Default | Meaning |\n|---|---|---|---|\n"
                + rows.map { "\($0)\n" }.joined()
        }.joined(separator: "\n")
    }

    private static func row(_ definition: OptionDefinition) -> String {
        var marks: [String] = []
        if definition.isReloadable { marks.append("R") }
        if definition.isPerHost { marks.append("H") }
        if definition.isSecret { marks.append("S") }
        let name = "`\(definition.name)`" + (marks.isEmpty ? "" : " (\(marks.joined(separator: ", ")))")
        let value = definition.defaultText.flatMap { $0.isEmpty ? nil : $0 } ?? definition.sampleDefault
        var meaning = definition.help
        if !definition.aliases.isEmpty {
            meaning += " Older name: \(definition.aliases.map { "`\($0)`" }.joined(separator: ", "))."
        }
        if !definition.hasEffect { meaning += " *Accepted, no effect.*" }
        let cells = [name, type(definition.kind), value.map { "`\($0)`" } ?? "–", meaning]
        return "| " + cells.map { $0.replacing("|", with: "\\|") }.joined(separator: " | ") + " |"
    }

    private static func type(_ kind: OptionKind) -> String {
        switch kind {
        case .integer(let range), .milliseconds(let range):
            range == Int.min...Int.max ? kind.label : "\(kind.label), \(ValueParser.bound(range))"
        case .number(let range): "\(kind.label), \(ValueParser.bound(range))"
        case .seconds(let range):
            range.upperBound >= ValueParser.longestSeconds
                ? (range.lowerBound > 0 ? "\(kind.label), at least \(Int(range.lowerBound))" : kind.label)
                : "\(kind.label), \(ValueParser.bound(range))"
        case .choice(let names): names.map { "`\($0)`" }.joined(separator: ", ")
        default: kind.label
        }
    }
}
