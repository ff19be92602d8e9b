/// The configuration file with every option commented out, as oslo.config's generator shapes it.
package enum SampleConfiguration {
    package static func text(_ registry: OptionRegistry = .standard) -> String {
        registry.groups.map { group in
            let options = registry.definitions(of: group).map(entry)
            return "[\(group)]\n\n" + options.joined(separator: "\n")
        }.joined(separator: "\n\n") + "\n" + hostSection
    }

    private static let hostSection = """


        # Options of one host override those above. Options of [DEFAULT] are
        # written by their name, others with their group in front; the name alone
        # will do where no other group has it.
        #[host:NAME]
        #backend = qemu
        #console.segment_bytes = 1048576

        """

    private static func entry(_ definition: OptionDefinition) -> String {
        var lines = wrapped("\(definition.help) (\(definition.kind.label))")
        lines += notes(definition)
        let value = definition.defaultText ?? definition.sampleDefault ?? "<None>"
        let shown = definition.defaultText?.isEmpty == true ? definition.sampleDefault ?? "" : value
        lines.append("#\(definition.name) = \(shown)".trimmingEnd())
        return lines.joined(separator: "\n") + "\n"
    }

    private static func notes(_ definition: OptionDefinition) -> [String] {
        var notes = bounds(definition.kind)
        notes += definition.aliases.map { "# Deprecated group/name - [\(definition.group)]/\($0)" }
        if definition.isReloadable { notes.append("# Note: This option can be changed without restarting.") }
        if definition.isPerHost { notes.append("# Note: This option can be overridden in [host:NAME].") }
        if !definition.hasEffect { notes.append("# Note: This option is accepted and has no effect.") }
        return notes
    }

    private static func bounds(_ kind: OptionKind) -> [String] {
        switch kind {
        case .integer(let range), .milliseconds(let range):
            (range.lowerBound == .min ? [] : ["# Minimum value: \(range.lowerBound)"])
                + (range.upperBound == .max ? [] : ["# Maximum value: \(range.upperBound)"])
        case .number(let range), .seconds(let range):
            ["# Minimum value: \(range.lowerBound)", "# Maximum value: \(range.upperBound)"]
        case .choice(let names):
            ["# Possible values:"] + names.map { "# \($0)" }
        default: []
        }
    }

    /// Comment lines of at most 79 characters, as the generator's.
    private static func wrapped(_ text: String) -> [String] {
        var lines: [String] = []
        var line = "#"
        for word in text.split(separator: " ") {
            if line.count + 1 + word.count > 79 {
                lines.append(line)
                line = "#"
            }
            line += " \(word)"
        }
        return lines + [line]
    }
}

extension String {
    fileprivate func trimmingEnd() -> String { String(self[...].trimmingTrailingWhitespace()) }
}
