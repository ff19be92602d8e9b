import Glibc
import HostBackend
package import HostConformance
import Support

/// One line of a report.
package struct PluginKitLine: Sendable {
    package let name: String
    package let section: String
    package let outcome: CheckOutcome
    package let duration: Duration
}

/// The whole kit against one plugin.
package struct PluginKitRun: Sendable {
    package let settings: PluginKitSettings
    /// Only checks whose name or section has one of these in it; empty = all.
    package var only: [String]

    package init(_ settings: PluginKitSettings, only: [String] = []) {
        self.settings = settings
        self.only = only
    }

    /// The names of all checks, in their order.
    package static var names: [String] { PluginCheck.all.map(\.name) }

    /// Makes the checks one after the other, and removes everything that they made.
    ///
    /// - Parameter each: called with each line as it comes.
    /// - Throws: `SystemCallError` or `FileError` when the kit itself cannot work; what a plugin does is in the report.
    @concurrent
    package func run(_ each: @Sendable (PluginKitLine) async -> Void) async throws -> PluginKitReport {
        // A one-shot plugin may end without reading what it is given, or be ended. Plugins themselves begin with the default.
        signal(SIGPIPE, SIG_IGN)
        let directory = "/tmp/vmops-kit-\(UniqueID.make().prefix(8))"
        try await BlockingPool.shared.run { try makeDirectories(directory) }
        let bench: PluginBench
        do {
            bench = try PluginBench(settings, root: directory)
        } catch {
            try? await BlockingPool.shared.run { try removeTree(directory) }
            throw error
        }
        let lines = await run(bench, each)
        await bench.cleanUp()
        try? await BlockingPool.shared.run { try removeTree(directory) }
        return PluginKitReport(settings: settings, plugin: lines.plugin, lines: lines.lines)
    }

    private func run(
        _ bench: PluginBench,
        _ each: @Sendable (PluginKitLine) async -> Void
    ) async -> (plugin: String, lines: [PluginKitLine]) {
        var lines: [PluginKitLine] = []
        var hello: PluginHello?
        var hasTried = false
        for check in PluginCheck.all where isWanted(check) && check.shapes.contains(settings.shape) {
            if Task.isCancelled { break }
            // A hello that names no plugin is none: `cat` says back what it is told.
            if !hasTried { hello = (try? await bench.caller().hello).flatMap { $0.name.isEmpty ? nil : $0 } }
            hasTried = true
            let begin = ContinuousClock.now
            let outcome: CheckOutcome
            if hello == nil, lines.contains(where: \.outcome.isFailed) {
                outcome = .skipped("there was no handshake")
            } else {
                outcome = await check.run(bench, flags: hello?.capabilities.flags)
            }
            let line = PluginKitLine(
                name: check.name,
                section: check.section,
                outcome: outcome,
                duration: ContinuousClock.now - begin
            )
            lines.append(line)
            await each(line)
        }
        return (hello.map { "\($0.name) \($0.version)" } ?? "", lines)
    }

    private func isWanted(_ check: PluginCheck) -> Bool {
        only.isEmpty
            || only.contains { pattern in
                check.name.lowercased().contains(pattern.lowercased()) || check.section == pattern
                    || check.section.hasPrefix(pattern + ".")
            }
    }
}
