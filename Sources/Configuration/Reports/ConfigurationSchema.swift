/// A JSON Schema of the configuration seen as a document: groups are members of it, options members of those.
package enum ConfigurationSchema {
    package static func text(_ registry: OptionRegistry = .standard) -> String {
        let groups = registry.groups.map { group in
            let options = registry.definitions(of: group).map { "        \(quoted($0.name)): \(schema($0))" }
            return """
                    \(quoted(group)): {
                      "type": "object",
                      "properties": {
                \(options.joined(separator: ",\n"))
                      }
                    }
                """
        }
        let perHost = registry.definitions.filter(\.isPerHost).map { definition in
            let isPlain = definition.group == DefaultOptions.group
            return "        \(quoted(isPlain ? definition.name : definition.option.description)): \(schema(definition))"
        }
        return """
            {
              "$schema": "https://json-schema.org/draft/2020-12/schema",
              "$id": "https://vmops.example/schemas/configuration.schema.json",
              "title": "vmops configuration",
              "description": "Groups of the INI file as objects. Groups and options not named here are ignored.",
              "type": "object",
              "properties": {
            \(groups.joined(separator: ",\n"))
              },
              "patternProperties": {
                "^host:.+$": {
                  "type": "object",
                  "properties": {
            \(perHost.joined(separator: ",\n"))
                  }
                }
              }
            }

            """
    }

    private static func schema(_ definition: OptionDefinition) -> String {
        var members = form(definition.kind)
        members.append("\"description\": \(quoted(definition.help))")
        if let value = defaultValue(definition) { members.append("\"default\": \(value)") }
        if definition.isSecret { members.append("\"writeOnly\": true") }
        return "{" + members.joined(separator: ", ") + "}"
    }

    private static func form(_ kind: OptionKind) -> [String] {
        switch kind {
        case .string, .url, .listenAddress: [#""type": "string""#]
        case .path: [#""type": "string""#, #""pattern": "^/""#]
        case .boolean: [#""type": "boolean""#]
        case .integer(let range), .milliseconds(let range): [#""type": "integer""#] + bounds(range)
        case .number(let range), .seconds(let range):
            [
                #""type": "number""#, "\"minimum\": \(range.lowerBound)", "\"maximum\": \(range.upperBound)",
            ]
        case .list, .multi: [#""type": "array""#, #""items": {"type": "string"}"#]
        case .choice(let names): ["\"enum\": [\(names.map(quoted).joined(separator: ", "))]"]
        case .fault:
            [#""type": "string""#, #""pattern": "^$|^\#(faultRule)(,\#(faultRule))*$""#]
        }
    }

    /// WHEN WHAT [after], as ``SimulatedOptions`` has it.
    private static let faultRule =
        #" *(always|(nth|first|every):[1-9][0-9]*) +[A-Za-z0-9_.]+( +after)? *"#

    private static func bounds(_ range: ClosedRange<Int>) -> [String] {
        (range.lowerBound == .min ? [] : ["\"minimum\": \(range.lowerBound)"])
            + (range.upperBound == .max ? [] : ["\"maximum\": \(range.upperBound)"])
    }

    /// The default as JSON; none where it refers to other options.
    private static func defaultValue(_ definition: OptionDefinition) -> String? {
        guard let text = definition.defaultText, !text.contains("$") else { return nil }
        switch definition.kind {
        case .boolean, .integer, .milliseconds, .number, .seconds: return text
        case .list: return "[\(ValueParser.list(text).map(quoted).joined(separator: ", "))]"
        default: return quoted(text)
        }
    }

    /// Help texts and names are ours: they hold no control characters.
    private static func quoted(_ text: String) -> String {
        "\"\(text.replacing("\\", with: "\\\\").replacing("\"", with: "\\\""))\""
    }
}
