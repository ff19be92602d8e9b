/// The name of an option inside its group.
package struct OptionName: Sendable, Hashable, Comparable, CustomStringConvertible {
    package var group: String
    package var name: String

    package init(_ group: String, _ name: String) {
        self.group = group
        self.name = name
    }

    package var description: String { "\(group).\(name)" }

    package static func < (left: OptionName, right: OptionName) -> Bool {
        (left.group, left.name) < (right.group, right.name)
    }
}

/// Facts about an option beside its type.
package struct OptionTraits: OptionSet, Sendable {
    package let rawValue: Int
    package init(rawValue: Int) { self.rawValue = rawValue }

    /// Takes effect on SIGHUP.
    package static let reloadable = OptionTraits(rawValue: 1)
    /// May be overridden in `[host:NAME]`.
    package static let perHost = OptionTraits(rawValue: 2)
    /// Never printed.
    package static let secret = OptionTraits(rawValue: 4)
    /// Accepted so that existing files work; changes nothing here.
    package static let noEffect = OptionTraits(rawValue: 8)
}

/// The form of an option's value.
package enum OptionKind: Sendable, Hashable {
    case string
    case boolean
    case integer(ClosedRange<Int>)
    case number(ClosedRange<Double>)
    /// Seconds, also with a fraction.
    case seconds(ClosedRange<Double>)
    /// Whole milliseconds.
    case milliseconds(ClosedRange<Int>)
    /// Values separated by commas.
    case list
    /// May be given several times; all values count.
    case multi
    case choice([String])
    /// An absolute path.
    case path
    case url
    /// `unix:PATH`, an absolute path, or `host:port`.
    case listenAddress
    /// Rules of the form `WHEN WHAT [after]`, separated by commas; empty = never.
    case fault

    /// The type as `--sample-config` and the reference call it.
    package var label: String {
        switch self {
        case .string: "string value"
        case .boolean: "boolean value"
        case .integer: "integer value"
        case .number: "floating point value"
        case .seconds: "seconds"
        case .milliseconds: "milliseconds"
        case .list: "list value"
        case .multi: "multi valued"
        case .choice: "one of the listed values"
        case .path: "absolute path"
        case .url: "URL"
        case .listenAddress: "unix:PATH or host:port"
        case .fault: "fault rule"
        }
    }
}

/// Everything there is to know about one option; the registry is a list of these.
package struct OptionDefinition: Sendable {
    package let option: OptionName
    package let kind: OptionKind
    /// The default as it would be written in a file, `$option` references included; `nil` = not set.
    package let defaultText: String?
    /// What stands in place of the default in documents when the real one depends on the machine.
    package let sampleDefault: String?
    package let help: String
    package let traits: OptionTraits
    /// Older names, in the same group.
    package let aliases: [String]
    /// Says what is wrong with the values, `nil` when nothing is.
    let complaint: @Sendable ([String]) -> String?

    package var group: String { option.group }
    package var name: String { option.name }
    package var isReloadable: Bool { traits.contains(.reloadable) }
    package var isPerHost: Bool { traits.contains(.perHost) }
    package var isSecret: Bool { traits.contains(.secret) }
    package var hasEffect: Bool { !traits.contains(.noEffect) }
}
