import HostConformance
import PluginKit
import TestSupport
import Testing

/// The whole kit against plugins that are right.
@Suite(.timeLimit(.minutes(5))) struct GoodPluginTests {
    @Test func pythonExample() async throws {
        let report = try await PluginsUnderTest.passes(PluginsUnderTest.python)
        #expect(report.plugin.hasPrefix("memory "))
        #expect(report.skipped.count <= 8, "\(report.skipped.map(\.name))")
    }

    @Test func oneShotPluginInPerl() async throws {
        let report = try await PluginsUnderTest.passes(PluginsUnderTest.sleepers)
        #expect(report.lines.count { $0.outcome.isPassed } > 20)
    }

    @Test func simulatedHost() async throws {
        let report = try await PluginsUnderTest.passes(PluginsUnderTest.simulated)
        #expect(report.skipped.count < 4, "\(report.skipped.map(\.name))")
    }

    @Test(.enabled(if: QEMUProgram.isInstalled, Comment(rawValue: QEMUProgram.missing)))
    func qemuHost() async throws {
        try await withTemporaryDirectory { directory in
            let disk = directory + "/tick.raw"
            try TickGuest.writeDisk(disk)
            try await PluginsUnderTest.passes(PluginsUnderTest.qemu(disk: disk))
        }
    }
}
