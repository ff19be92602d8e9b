/// What reading the sources came to.
package struct LoadResult: Sendable {
    /// `nil` when there is an error among the problems.
    package var settings: Settings?
    /// Everything found, in the order of the sources; checks of values come last.
    package var problems: [Problem]

    package var errors: [Problem] { problems.filter { $0.severity == .error } }
}

extension Settings {
    /// Reads all sources and checks all of it; blocking, small files.
    package static func load(_ sources: ConfigurationSources) -> LoadResult {
        var reader = SourceReader(.standard, machineName: sources.machineName)
        reader.read(sources)
        return load(reader)
    }

    static func load(_ reader: SourceReader) -> LoadResult {
        var reader = reader
        reader.readTransportURLs()
        var check = SettingsCheck(table: reader.table)
        check.values()
        check.relations(mentionedHosts: reader.mentionedHosts)
        let problems = reader.problems + check.problems
        let isUsable = !problems.contains { $0.severity == .error }
        return LoadResult(settings: isUsable ? Settings(reader.table) : nil, problems: problems)
    }
}
