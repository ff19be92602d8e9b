/// An option together with the Swift type of its value: reading through a key can neither misspell the name nor
/// confuse the type.
package struct OptionKey<Value: Sendable>: Sendable {
    package let definition: OptionDefinition
    /// Stands for the value when there is none or it is invalid; an invalid value has been reported by then.
    let fallback: Value
    let parse: @Sendable ([String]) throws(ValueError) -> Value

    init(
        _ group: String,
        _ name: String,
        kind: OptionKind,
        default defaultText: String?,
        fallback: Value,
        traits: OptionTraits,
        aliases: [String] = [],
        sampleDefault: String? = nil,
        help: String,
        parse: @escaping @Sendable ([String]) throws(ValueError) -> Value
    ) {
        self.fallback = fallback
        self.parse = parse
        definition = OptionDefinition(
            option: OptionName(group, name),
            kind: kind,
            defaultText: defaultText,
            sampleDefault: sampleDefault,
            help: help,
            traits: traits,
            aliases: aliases,
            complaint: { values in
                do throws(ValueError) {
                    _ = try parse(values)
                    return nil
                } catch {
                    return error.message
                }
            }
        )
    }
}

/// Why a text is not a value of its option.
struct ValueError: Error {
    let message: String
    init(_ message: String) { self.message = message }
}
