/// What the command line offers about configuration: `--check-config`, `--print-config`, `--sample-config`.
package enum ConfigurationReport {
    /// All problems, one a line, errors last so that they are what stays in view; empty when there are none.
    package static func check(_ result: LoadResult) -> String {
        let ordered = [Problem.Severity.note, .warning, .error].flatMap { severity in
            result.problems.filter { $0.severity == severity }
        }
        return ordered.map { "\($0)\n" }.joined()
    }

    /// The values in force with their sources; secrets hidden.
    package static func print(_ settings: Settings) -> String { EffectiveConfiguration.text(settings) }

    /// A commented file with every option.
    package static func sample() -> String { SampleConfiguration.text() }
}
