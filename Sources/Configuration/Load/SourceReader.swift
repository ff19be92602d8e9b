/// Carries all sources into a table and collects what is wrong with them.
struct SourceReader {
    private(set) var table: OptionTable
    private(set) var problems: [Problem] = []
    /// First mention of every `[host:NAME]`, to tell hosts that are not served.
    private(set) var mentionedHosts: [String: Origin] = [:]
    private var registry: OptionRegistry { table.registry }

    init(_ registry: OptionRegistry, machineName: String) {
        table = OptionTable(registry: registry, machineName: machineName)
    }

    mutating func read(_ sources: ConfigurationSources) {
        var files = sources.files
        if files.isEmpty, sources.directories.isEmpty, FileReader.exists(ConfigurationSources.standardFile) {
            files = [ConfigurationSources.standardFile]
        }
        for file in files { readFile(file) }
        for directory in sources.directories { readDirectory(directory) }
        readWithoutFiles(environment: sources.environment, overrides: sources.overrides)
    }

    mutating func readWithoutFiles(environment: [String: String], overrides: [String]) {
        for (name, value) in environment.sorted(by: { $0.key < $1.key }) { readVariable(name, value) }
        for override in overrides { readOverride(override) }
    }

    private mutating func readDirectory(_ directory: String) {
        do throws(FileReader.Failure) {
            for file in try FileReader.configurationFiles(in: directory) { readFile(file) }
        } catch {
            problems.append(Problem(.error, at: .file(path: directory, line: 0), "directory \(error.message)"))
        }
    }

    private mutating func readFile(_ path: String) {
        do throws(FileReader.Failure) {
            read(INIParser.parse(try FileReader.text(of: path)), from: path)
        } catch {
            problems.append(Problem(.error, at: .file(path: path, line: 0), "file \(error.message)"))
        }
    }

    mutating func read(_ document: INIDocument, from path: String) {
        for mistake in document.mistakes {
            problems.append(Problem(.error, at: .file(path: path, line: mistake.line), mistake.message))
        }
        var strangers: [String] = []
        for entry in document.entries {
            let origin = Origin.file(path: path, line: entry.line)
            if let host = Self.host(entry.section) {
                writeForHost(host, entry.key, entry.value, origin)
                continue
            }
            let group = OptionRegistry.normalized(group: entry.section)
            if registry.knows(group: group) {
                write(OptionName(group, entry.key), entry.value, origin)
            } else if !strangers.contains(group) {
                strangers.append(group)
                remark(onGroup: entry.section, origin)
            }
        }
        if !strangers.isEmpty {
            let list = strangers.prefix(8).joined(separator: ", ") + (strangers.count > 8 ? ", …" : "")
            problems.append(
                Problem(.note, at: .file(path: path, line: 0), "groups of other programs are ignored: \(list)")
            )
        }
    }

    /// A group that looks like one of ours is worth more than a note.
    private mutating func remark(onGroup group: String, _ origin: Origin) {
        let known = registry.groups + registry.reservedGroups.sorted()
        guard let near = NearestName.suggestion(for: group, among: known) else { return }
        problems.append(Problem(.warning, at: origin, "unknown group [\(group)]; did you mean [\(near)]?"))
    }

    private static func host(_ section: String) -> String? {
        section.lowercased().hasPrefix("host:") ? String(section.dropFirst(5).trimmingWhitespace()) : nil
    }

    private mutating func write(_ name: OptionName, _ text: String, _ origin: Origin) {
        if registry.reservedGroups.contains(name.group) { return }
        guard let definition = registry[name] else {
            unknown(name.name, in: name.group, origin, severity: .warning)
            return
        }
        noteAlias(name.name, definition, origin)
        table.write(text, to: definition, host: nil, origin: origin)
    }

    private mutating func writeForHost(_ host: String, _ key: String, _ text: String, _ origin: Origin) {
        if mentionedHosts[host] == nil { mentionedHosts[host] = origin }
        let label = "host:\(host).\(key)"
        if let dot = key.firstIndex(of: "."), registry.reservedGroups.contains(key[..<dot].lowercased()) { return }
        guard let definition = registry.hostOption(key) else {
            let candidates = registry.definitions.filter(\.isPerHost).flatMap { definition in
                definition.group == DefaultOptions.group
                    ? [definition.name] : [definition.option.description, definition.name]
            }
            let hint = NearestName.hint(for: key, among: candidates)
            let severity: Problem.Severity = origin.file == nil ? .error : .warning
            problems.append(Problem(severity, at: origin, option: label, "unknown option\(hint)"))
            return
        }
        guard definition.isPerHost else {
            problems.append(Problem(.error, at: origin, option: label, "is the same for all hosts of a process"))
            return
        }
        table.write(text, to: definition, host: host, origin: origin)
    }

    private mutating func unknown(_ name: String, in group: String, _ origin: Origin, severity: Problem.Severity) {
        let candidates = registry.definitions(of: group).map(\.name)
        if registry.sharedGroups.contains(group), severity != .error,
            NearestName.suggestion(for: name, among: candidates) == nil
        {
            return
        }
        let hint = NearestName.hint(for: name, among: candidates)
        problems.append(Problem(severity, at: origin, option: "\(group).\(name)", "unknown option\(hint)"))
    }

    private mutating func noteAlias(_ name: String, _ definition: OptionDefinition, _ origin: Origin) {
        guard name != definition.name else { return }
        let message = "is an older name of \(definition.name)"
        problems.append(Problem(.warning, at: origin, option: "\(definition.group).\(name)", message))
    }

    mutating func add(_ problem: Problem) { problems.append(problem) }

    /// An option behind the `?` of the transport URL.
    mutating func write(urlOption name: OptionName, _ text: String, _ origin: Origin) {
        if registry[name] == nil {
            unknown(name.name, in: name.group, origin, severity: .error)
        } else {
            // A dollar sign in a URL refers to nothing.
            write(name, Substitution.escape(text), origin)
        }
    }

    /// `OS_<GROUP>__<OPTION>`; variables of groups that are not ours belong to somebody else.
    private mutating func readVariable(_ name: String, _ value: String) {
        guard name.hasPrefix("OS_"), let separator = name.dropFirst(3).firstRange(of: "__") else { return }
        let group = OptionRegistry.normalized(group: String(name.dropFirst(3)[..<separator.lowerBound]))
        guard registry.knows(group: group) else { return }
        write(OptionName(group, name[separator.upperBound...].lowercased()), value, .environment(name))
    }

    private mutating func readOverride(_ argument: String) {
        guard let equals = argument.firstIndex(of: "="), equals != argument.startIndex else {
            problems.append(Problem(.error, at: .commandLine(argument), "expected group.option=value"))
            return
        }
        let name = String(argument[..<equals])
        let value = String(argument[argument.index(after: equals)...])
        let origin = Origin.commandLine(name)
        if let host = Self.host(name) {
            readHostOverride(host, value, origin)
            return
        }
        let parts = name.split(separator: ".", maxSplits: 1, omittingEmptySubsequences: false)
        let group = parts.count == 2 ? OptionRegistry.normalized(group: String(parts[0])) : DefaultOptions.group
        let option = String(parts[parts.count - 1])
        if registry.reservedGroups.contains(group) { return }
        guard registry.knows(group: group) else {
            let hint = NearestName.hint(for: group, among: registry.groups)
            problems.append(Problem(.error, at: origin, option: name, "unknown group\(hint)"))
            return
        }
        guard registry[OptionName(group, option)] != nil else {
            unknown(option, in: group, origin, severity: .error)
            return
        }
        write(OptionName(group, option), value, origin)
    }

    /// Names of hosts hold full stops too: the last word is the option, the one before it a group if it names one.
    private mutating func readHostOverride(_ text: String, _ value: String, _ origin: Origin) {
        var words = text.split(separator: ".", omittingEmptySubsequences: false)
        guard words.count >= 2, let option = words.popLast() else {
            problems.append(Problem(.error, at: origin, "expected host:NAME.group.option=value"))
            return
        }
        var key = String(option)
        if words.count >= 2, let group = words.last,
            registry.knows(group: OptionRegistry.normalized(group: String(group)))
        {
            key = "\(group).\(option)"
            words.removeLast()
        }
        writeForHost(words.joined(separator: "."), key, value, origin)
    }
}
