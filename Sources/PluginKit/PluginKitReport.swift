import HostConformance
package import Support

/// What came of the kit.
package struct PluginKitReport: Sendable {
    package let settings: PluginKitSettings
    /// Its name and version, empty when it did not say.
    package let plugin: String
    package let lines: [PluginKitLine]

    /// Whether the plugin does everything that it has to, and anything at all.
    package var isPassed: Bool { lines.contains { $0.outcome.isPassed } && !lines.contains { $0.outcome.isFailed } }

    package var failures: [PluginKitLine] { lines.filter(\.outcome.isFailed) }

    package var skipped: [PluginKitLine] { lines.filter(\.outcome.isSkipped) }

    /// The lines for one check.
    package static func text(_ line: PluginKitLine) -> [String] {
        let name = "§\(line.section.padded(to: 4)) \(line.name)"
        switch line.outcome {
        case .passed: return ["passed   \(name)"]
        case .skipped(let why): return ["skipped  \(name)", "               \(why)"]
        case .failed(let expected, let seen):
            return ["FAILED   \(name)", "               expected: \(expected)", "               seen:     \(seen)"]
        case .advised(let expected, let seen):
            return ["advice   \(name)", "               should:   \(expected)", "               seen:     \(seen)"]
        }
    }

    /// The last lines.
    package var summary: [String] {
        let advice = lines.count { if case .advised = $0.outcome { true } else { false } }
        let passed = lines.count { $0.outcome.isPassed }
        let name = plugin.isEmpty ? settings.command.joined(separator: " ") : plugin
        let counts = "\(passed) passed, \(failures.count) failed, \(advice) advised, \(skipped.count) skipped"
        guard !lines.isEmpty else { return ["no check has such a name"] }
        return ["", "\(name): \(counts)"]
    }

    /// For programs: each check with `name`, `section`, `outcome`, `seconds`, and `expected` and `seen`, or `reason`.
    package var json: JSONObject {
        let list = lines.map { line -> JSONValue in
            var entry: JSONObject = ["name": .string(line.name), "section": .string(line.section)]
            switch line.outcome {
            case .passed: entry["outcome"] = "passed"
            case .skipped(let why):
                entry["outcome"] = "skipped"
                entry["reason"] = .string(why)
            case .failed(let expected, let seen):
                entry["outcome"] = "failed"
                entry["expected"] = .string(expected)
                entry["seen"] = .string(seen)
            case .advised(let expected, let seen):
                entry["outcome"] = "advised"
                entry["expected"] = .string(expected)
                entry["seen"] = .string(seen)
            }
            entry["seconds"] = .double((line.duration / .milliseconds(1)).rounded() / 1000)
            return .object(entry)
        }
        return [
            "plugin": .string(plugin), "command": .array(settings.command.map { .string($0) }),
            "shape": .string(settings.shape.rawValue), "passed": .bool(isPassed), "checks": .array(list),
        ]
    }
}

extension String {
    fileprivate func padded(to width: Int) -> String { self + String(repeating: " ", count: max(0, width - count)) }
}
