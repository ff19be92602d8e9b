import Foundation
import HostConformance
import PluginKit
import TestSupport
import Testing

/// Plugins that the tests check.
enum PluginsUnderTest {
    static let pythonExample = [
        Checkout.python, Checkout.root.appending(path: "plugins/python/examples/memory_host.py").path,
    ]

    /// The SDK's example; `vmops_plugin` is found in the checkout.
    static var python: PluginKitSettings {
        var settings = PluginKitSettings(command: pythonExample)
        settings.environment = ["PYTHONPATH": Checkout.root.appending(path: "plugins/python").path]
        settings.bootText = "login:"
        settings.floodTyping = "lines 100000"
        settings.bridge = "br0"
        settings.machineCount = 100
        settings.killRounds = 3
        return settings
    }

    /// In Perl, without an SDK, a process for each request.
    static var sleepers: PluginKitSettings {
        var settings = PluginKitSettings(command: [Checkout.root.appending(path: "plugins/examples/sleepers").path])
        settings.shape = .oneshot
        settings.bootText = "login:"
        settings.machineCount = 10
        settings.killRounds = 3
        return settings
    }

    static var simulated: PluginKitSettings {
        var settings = PluginKitSettings(command: [Checkout.program("vmopsd"), "plugin-host", "simulated"])
        settings.options = ["sync_state": "false", "foreign_machines": "theirs", "migration_ms": "50"]
        settings.startLimit = .seconds(Sanitizer.choose(60, otherwise: 10))
        settings.foreignName = "theirs"
        settings.bootText = "login:"
        settings.floodMetadata = ["sim.console_mode": "flood"]
        settings.machineCount = 200
        settings.bridge = "br0"
        settings.killRounds = 3
        return settings
    }

    /// Machines that run the tick guest.
    static func qemu(disk: String) -> PluginKitSettings {
        var settings = PluginKitSettings(command: [Checkout.program("vmopsd"), "plugin-host", "qemu"])
        settings.options = ["acceleration": "tcg", "machine_type": "pc-i440fx-7.2", "network": "user"]
        settings.startLimit = .seconds(Sanitizer.choose(60, otherwise: 10))
        settings.rootDisk = disk
        settings.diskBus = "ide"
        settings.memoryMB = 16
        settings.bootText = "] ready"
        settings.floodTyping = "b9000"
        settings.bridge = "br0"
        settings.machineCount = 5
        settings.killRounds = 1
        return settings
    }

    /// Runs the kit and expects that nothing fails.
    ///
    /// - Returns: the report, for what else it has to say.
    @discardableResult
    static func passes(_ settings: PluginKitSettings, only: [String] = []) async throws -> PluginKitReport {
        let report = try await PluginKitRun(settings, only: only).run { _ in }
        for line in report.failures {
            Issue.record(Comment(rawValue: PluginKitReport.text(line).joined(separator: "\n")))
        }
        #expect(report.isPassed)
        return report
    }
}
