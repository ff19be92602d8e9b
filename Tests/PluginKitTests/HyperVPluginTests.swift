import Foundation
import HostConformance
import PluginKit
import TestSupport
import Testing

/// The plugin for Hyper-V, on the Hyper-V that it models.
@Suite(.timeLimit(.minutes(5))) struct HyperVPluginTests {
    private static let directory = Checkout.root.appending(path: "plugins/hyperv")

    @Test func itsOwnTestsPass() async throws {
        let tests = Self.directory.appending(path: "tests").path
        _ = try await runCommand(
            Checkout.python,
            ["-W", "error::ResourceWarning", "-m", "unittest", "discover", "-s", tests, "-t", tests],
            environment: ["PYTHONDONTWRITEBYTECODE": "1", "VMOPS_PLUGIN": nil]
        )
    }

    @Test func theKitPasses() async throws {
        let program = Self.directory.appending(path: "vmops-hyperv").path
        var settings = PluginKitSettings(command: [Checkout.python, program, "--option", "runner=model"])
        settings.bootText = "login:"
        settings.floodTyping = "lines 100000"
        settings.bridge = "External"
        settings.killRounds = 3
        settings.foreignName = "accounting"
        let plain = settings
        // Two hosts of one world, between which machines move.
        let report = try await withTemporaryDirectory { directory in
            var settings = plain
            settings.options = [
                "model_world": directory + "/world.db", "model_host": "hyperv1", "model_foreign": "accounting",
            ]
            settings.secondOptions = ["model_host": "hyperv2"]
            return try await PluginsUnderTest.passes(settings)
        }
        #expect(report.plugin.hasPrefix("vmops-hyperv "))
        // Two are about consoles that are kept while nobody reads them, which a named pipe is not; one about disks that
        // two hosts share, of which nothing is known from here.
        #expect(report.skipped.count <= 3, "\(report.skipped.map(\.name))")
    }
}
