import Foundation
import Testing

@testable import Configuration

/// A directory of files that is removed with the fixture.
final class ConfigurationFixture {
    let directory: String

    init() throws {
        directory = NSTemporaryDirectory() + "vmops-config-\(UUID().uuidString)"
        try FileManager.default.createDirectory(atPath: directory, withIntermediateDirectories: true)
    }

    deinit { try? FileManager.default.removeItem(atPath: directory) }

    func write(_ name: String, _ text: String) throws -> String {
        let path = "\(directory)/\(name)"
        try Data(text.utf8).write(to: URL(fileURLWithPath: path))
        return path
    }
}

/// Loads a text as the only file, read without touching the disk.
func load(_ text: String, environment: [String: String] = [:], overrides: [String] = []) -> LoadResult {
    var reader = SourceReader(.standard, machineName: "machine")
    reader.read(INIParser.parse(text), from: "test.conf")
    reader.readWithoutFiles(environment: environment, overrides: overrides)
    return Settings.load(reader)
}

func settings(_ text: String = "", environment: [String: String] = [:], overrides: [String] = []) throws -> Settings {
    let result = load(text, environment: environment, overrides: overrides)
    return try #require(result.settings, "\(result.problems)")
}

extension LoadResult {
    var texts: [String] { problems.map(\.description) }
}

let repository = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
    .deletingLastPathComponent()
