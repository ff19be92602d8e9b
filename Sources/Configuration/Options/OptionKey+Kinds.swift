import Support

extension OptionKey<Bool> {
    static func boolean(
        _ group: String,
        _ name: String,
        default value: Bool,
        traits: OptionTraits = [],
        aliases: [String] = [],
        _ help: String
    ) -> OptionKey<Bool> {
        OptionKey<Bool>(
            group,
            name,
            kind: .boolean,
            default: value ? "true" : "false",
            fallback: value,
            traits: traits,
            aliases: aliases,
            help: help
        ) { values throws(ValueError) in try ValueParser.boolean(values.last ?? "") }
    }
}

extension OptionKey<Int> {
    static func integer(
        _ group: String,
        _ name: String,
        default value: Int,
        in range: ClosedRange<Int> = Int.min...Int.max,
        traits: OptionTraits = [],
        defaultText: String? = nil,
        aliases: [String] = [],
        _ help: String
    ) -> OptionKey<Int> {
        OptionKey<Int>(
            group,
            name,
            kind: .integer(range),
            default: defaultText ?? String(value),
            fallback: value,
            traits: traits,
            aliases: aliases,
            help: help
        ) { values throws(ValueError) in try ValueParser.integer(values.last ?? "", in: range) }
    }
}

extension OptionKey<Double> {
    static func number(
        _ group: String,
        _ name: String,
        default value: Double,
        in range: ClosedRange<Double>,
        traits: OptionTraits = [],
        _ help: String
    ) -> OptionKey<Double> {
        OptionKey<Double>(
            group,
            name,
            kind: .number(range),
            default: String(value),
            fallback: value,
            traits: traits,
            help: help
        ) { values throws(ValueError) in try ValueParser.number(values.last ?? "", in: range) }
    }
}

extension OptionKey<Int?> {
    /// An empty text counts as not set.
    static func optionalInteger(
        _ group: String,
        _ name: String,
        in range: ClosedRange<Int>,
        _ help: String
    ) -> OptionKey<Int?> {
        optional(group, name, kind: .integer(range), help) { text throws(ValueError) in
            try ValueParser.integer(text, in: range)
        }
    }
}

extension OptionKey<Double?> {
    /// An empty text counts as not set.
    static func optionalNumber(
        _ group: String,
        _ name: String,
        in range: ClosedRange<Double>,
        _ help: String
    ) -> OptionKey<Double?> {
        optional(group, name, kind: .number(range), help) { text throws(ValueError) in
            try ValueParser.number(text, in: range)
        }
    }
}

extension OptionKey {
    fileprivate static func optional<Wrapped: Sendable>(
        _ group: String,
        _ name: String,
        kind: OptionKind,
        _ help: String,
        _ parse: @escaping @Sendable (String) throws(ValueError) -> Wrapped
    ) -> OptionKey<Wrapped?> where Value == Wrapped? {
        OptionKey<Wrapped?>(group, name, kind: kind, default: nil, fallback: nil, traits: [], help: help) {
            values throws(ValueError) in
            guard let text = values.last, !text.isEmpty else { return nil }
            return try parse(text)
        }
    }
}

extension OptionKey<Duration> {
    static func seconds(
        _ group: String,
        _ name: String,
        default value: Double,
        in range: ClosedRange<Double> = 0...ValueParser.longestSeconds,
        traits: OptionTraits = [],
        aliases: [String] = [],
        _ help: String
    ) -> OptionKey<Duration> {
        OptionKey<Duration>(
            group,
            name,
            kind: .seconds(range),
            default: value == value.rounded() ? String(Int(value)) : String(value),
            fallback: .seconds(value),
            traits: traits,
            aliases: aliases,
            help: help
        ) { values throws(ValueError) in .seconds(try ValueParser.number(values.last ?? "", in: range)) }
    }

    static func milliseconds(
        _ group: String,
        _ name: String,
        default value: Int,
        in range: ClosedRange<Int> = 0...ValueParser.longestMilliseconds,
        traits: OptionTraits = [],
        _ help: String
    ) -> OptionKey<Duration> {
        OptionKey<Duration>(
            group,
            name,
            kind: .milliseconds(range),
            default: String(value),
            fallback: .milliseconds(value),
            traits: traits,
            help: help
        ) { values throws(ValueError) in .milliseconds(try ValueParser.integer(values.last ?? "", in: range)) }
    }
}

extension OptionKey<String> {
    static func string(
        _ group: String,
        _ name: String,
        default value: String,
        kind: OptionKind = .string,
        traits: OptionTraits = [],
        aliases: [String] = [],
        _ help: String,
        check: @escaping @Sendable (String) throws(ValueError) -> String = { text throws(ValueError) in text }
    ) -> OptionKey<String> {
        OptionKey<String>(
            group,
            name,
            kind: kind,
            default: value,
            fallback: value,
            traits: traits,
            aliases: aliases,
            help: help
        ) { values throws(ValueError) in try check(values.last ?? "") }
    }

    static func path(
        _ group: String,
        _ name: String,
        default value: String,
        traits: OptionTraits = [],
        _ help: String
    ) -> OptionKey<String> {
        string(group, name, default: value, kind: .path, traits: traits, help) { text throws(ValueError) in
            try ValueParser.path(text)
        }
    }
}

extension OptionKey<String?> {
    /// An empty text counts as not set.
    static func optional(
        _ group: String,
        _ name: String,
        kind: OptionKind = .string,
        traits: OptionTraits = [],
        sampleDefault: String? = nil,
        _ help: String,
        check: @escaping @Sendable (String) throws(ValueError) -> String = { text throws(ValueError) in text }
    ) -> OptionKey<String?> {
        OptionKey<String?>(
            group,
            name,
            kind: kind,
            default: nil,
            fallback: nil,
            traits: traits,
            sampleDefault: sampleDefault,
            help: help
        ) { values throws(ValueError) in
            guard let text = values.last, !text.isEmpty else { return nil }
            return try check(text)
        }
    }
}

extension OptionKey<[String]> {
    static func list(
        _ group: String,
        _ name: String,
        default value: [String] = [],
        traits: OptionTraits = [],
        sampleDefault: String? = nil,
        _ help: String
    ) -> OptionKey<[String]> {
        OptionKey<[String]>(
            group,
            name,
            kind: .list,
            default: value.joined(separator: ","),
            fallback: value,
            traits: traits,
            sampleDefault: sampleDefault,
            help: help
        ) { values throws(ValueError) in ValueParser.list(values.last ?? "") }
    }

    static func multi(_ group: String, _ name: String, traits: OptionTraits = [], _ help: String) -> Self {
        OptionKey<[String]>(
            group,
            name,
            kind: .multi,
            default: nil,
            fallback: [],
            traits: traits,
            help: help
        ) { values throws(ValueError) in values.filter { !$0.isEmpty } }
    }
}

extension OptionKey where Value: RawRepresentable, Value.RawValue == String, Value: CaseIterable {
    static func choice(
        _ group: String,
        _ name: String,
        default value: Value,
        traits: OptionTraits = [],
        _ help: String
    ) -> OptionKey<Value> {
        let names = Value.allCases.map(\.rawValue)
        return OptionKey<Value>(
            group,
            name,
            kind: .choice(names),
            default: value.rawValue,
            fallback: value,
            traits: traits,
            help: help
        ) { values throws(ValueError) in
            let text = values.last ?? ""
            guard let choice = Value(rawValue: text) else {
                throw ValueError("\(ValueParser.quoted(text)) is not one of \(names.joined(separator: ", "))")
            }
            return choice
        }
    }
}

extension OptionKey<Redacted<String>?> {
    /// A secret URL; an empty text counts as not set.
    static func secretURL(
        _ group: String,
        _ name: String,
        default value: String?,
        _ help: String
    ) -> OptionKey<Redacted<String>?> {
        OptionKey<Redacted<String>?>(
            group,
            name,
            kind: .url,
            default: value,
            fallback: value.map(Redacted.init),
            traits: .secret,
            help: help
        ) { values throws(ValueError) in
            guard let text = values.last, !text.isEmpty else { return nil }
            try ValueParser.transportURL(text)
            return Redacted(text)
        }
    }
}
