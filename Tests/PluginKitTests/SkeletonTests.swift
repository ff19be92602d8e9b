import Foundation
import PluginKit
import TestSupport
import Testing

/// What `vmopsctl plugin new` makes.
@Suite(.timeLimit(.minutes(5))) struct SkeletonTests {
    @Test func thePythonSkeletonPassesTheKit() async throws {
        try await withTemporaryDirectory { directory in
            let sdk = Checkout.root.appending(path: "plugins/python/vmops_plugin").path
            let place = directory + "/my-plugin"
            let lines = try PluginSkeleton(name: "my-plugin", language: .python, sdk: sdk).write(to: place)
            #expect(lines.joined(separator: "\n").contains("vmopsctl plugin check"))
            let settings = PluginKitSettings(command: [Checkout.python, place + "/my-plugin.py"])
            let report = try await PluginsUnderTest.passes(settings)
            #expect(report.plugin.hasPrefix("my-plugin "))
        }
    }

    /// With the compiler alone: the package manager takes longer for the same.
    @Test func theSwiftSkeletonCompilesAndPassesTheKit() async throws {
        try await withTemporaryDirectory { directory in
            let place = directory + "/my-plugin"
            _ = try PluginSkeleton(name: "my-plugin", language: .swift).write(to: place)
            let sources = try FileManager.default.contentsOfDirectory(atPath: place + "/Sources/my-plugin")
            _ = try await runCommand(
                "swiftc",
                ["-module-name", "my_plugin", "-o", directory + "/plugin"]
                    + sources.sorted().map { place + "/Sources/my-plugin/" + $0 }
            )
            let report = try await PluginsUnderTest.passes(PluginKitSettings(command: [directory + "/plugin"]))
            #expect(report.plugin.hasPrefix("my-plugin "))
        }
    }

    @Test func aDirectoryThatIsThereIsNotTouched() async throws {
        try await withTemporaryDirectory { directory in
            #expect(throws: PluginSkeleton.Failure.self) {
                try PluginSkeleton(name: "x", language: .swift).write(to: directory)
            }
            let left = try FileManager.default.contentsOfDirectory(atPath: directory)
            #expect(left.isEmpty)
        }
    }

    @Test func theSDKIsTakenFromWhereItIsOrFromAbove() async throws {
        try await withTemporaryDirectory { directory in
            let sdk = Checkout.root.appending(path: "plugins/python").path
            _ = try PluginSkeleton(name: "x", language: .python, sdk: sdk).write(to: directory + "/x")
            #expect(FileManager.default.fileExists(atPath: directory + "/x/vmops_plugin/__init__.py"))
            #expect(throws: PluginSkeleton.Failure.self) {
                try PluginSkeleton(name: "y", language: .python, sdk: directory).write(to: directory + "/y")
            }
            #expect(!FileManager.default.fileExists(atPath: directory + "/y"))
        }
    }

    @Test(arguments: ["", "-x", "X", "a b", "a/b", "1a", "ä", String(repeating: "a", count: 65)])
    func namesThatAreNoneAreRefused(name: String) {
        #expect(!PluginSkeleton.isName(name))
    }
}
