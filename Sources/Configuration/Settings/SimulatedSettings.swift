/// How simulated hosts and their guests behave, as the simulated host reads it.
package struct SimulatedSettings: Sendable, Hashable {
    /// Every option with a text that is not its default.
    package var texts: [String: String]

    init(_ reader: SettingsReader) {
        texts = [:]
        for key in SimulatedOptions.keys {
            let text = reader[key]
            if text != key.definition.defaultText { texts[key.definition.option.name] = text }
        }
    }
}
