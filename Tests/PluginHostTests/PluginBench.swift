import Foundation
import HostBackend
import Logging
import PluginHost
import PluginProtocol
import Support
import Synchronization
import TestSupport

/// A host whose plugin misbehaves when told to.
struct PluginBench: Sendable {
    let directory: String
    let log: LogLines

    /// Times that fit a test: nothing waits long, and a loaded machine is given room.
    static func settings(
        shape: PluginSettings.Shape = .child,
        options: [String: String] = [:],
        _ change: (inout PluginSettings) -> Void = { _ in }
    ) -> PluginSettings {
        let script = Checkout.peers.appending(path: "faulty_plugin.py").path
        var settings = PluginSettings(
            shape: shape,
            command: [Checkout.python, script] + (shape == .oneshot ? ["oneshot"] : []),
            times: PluginTimes(start: .seconds(15), grace: .milliseconds(Sanitizer.choose(5000, otherwise: 500))),
            pollInterval: .milliseconds(50),
            options: options
        )
        settings.restarts.firstPause = .milliseconds(10)
        settings.restarts.longestPause = .milliseconds(50)
        settings.restarts.failures = 1000
        change(&settings)
        return settings
    }

    static func run(_ body: @escaping @Sendable (PluginBench) async throws -> Void) async throws {
        try await withTemporaryDirectory { directory in
            try FileManager.default.createDirectory(atPath: directory + "/plugin", withIntermediateDirectories: true)
            try await body(PluginBench(directory: directory, log: LogLines()))
        }
    }

    /// One host, connected, and disconnected at the end.
    static func run(
        _ settings: PluginSettings = PluginBench.settings(),
        faults: String = "",
        _ body: @escaping @Sendable (PluginBench, PluginHost) async throws -> Void
    ) async throws {
        try await run { bench in
            try bench.misbehave(faults)
            try await bench.withHost(settings) { try await body(bench, $0) }
        }
    }

    func withHost(
        _ settings: PluginSettings,
        _ body: (PluginHost) async throws -> Void
    ) async throws {
        let log = log
        let host = try PluginHost(
            name: "host-a",
            settings: settings,
            directory: directory,
            workerVersion: "0",
            digest: { _ in String(repeating: "a", count: 64) },
            logger: Logger(label: "test") { _ in LinesHandler(lines: log) }
        )
        try await host.connect()
        do {
            try await body(host)
        } catch {
            await host.disconnect()
            throw error
        }
        await host.disconnect()
    }

    /// What the plugin does wrong from now on, such as `machine.get exit once`.
    func misbehave(_ faults: String) throws {
        try faults.write(toFile: directory + "/plugin/faults", atomically: true, encoding: .utf8)
    }

    /// The processes that the plugin was, so far.
    var starts: [Int32] {
        let text = (try? String(contentsOfFile: directory + "/plugin/starts", encoding: .utf8)) ?? ""
        return text.split(separator: "\n").compactMap { Int32($0) }
    }

    func spec(_ name: String = "vm") throws -> MachineSpec {
        guard let uuid = InstanceUUID(UniqueID.makeDashed()) else { throw ConditionNotMet(description: "no uuid") }
        let place = "\(directory)/instances/\(uuid)"
        try FileManager.default.createDirectory(atPath: place, withIntermediateDirectories: true)
        return MachineSpec(uuid: uuid, name: name, directory: place, memoryMB: 64, vcpus: 1)
    }

    /// A machine that runs.
    func running(_ host: PluginHost) async throws -> MachineSpec {
        let spec = try spec()
        try await host.createMachine(spec)
        _ = try await host.setState(spec.uuid, .running, deadline: .seconds(20))
        return spec
    }
}

/// The code that a primitive fails with, `nil` when it succeeds.
func failure(_ body: () async throws -> Void) async -> BackendError.Code? {
    do {
        try await body()
        return nil
    } catch {
        return (error as? BackendError)?.code ?? .internal
    }
}

/// What was logged.
final class LogLines: Sendable {
    private let lines = Mutex<[String]>([])

    func add(_ line: String) { lines.withLock { $0.append(line) } }

    var all: [String] { lines.withLock { $0 } }

    func has(_ text: String) -> Bool { all.contains { $0.contains(text) } }
}

struct LinesHandler: LogHandler {
    let lines: LogLines
    var metadata: Logger.Metadata = [:]
    var logLevel = Logger.Level.debug

    subscript(metadataKey key: String) -> Logger.Metadata.Value? {
        get { metadata[key] }
        set { metadata[key] = newValue }
    }

    func log(event: LogEvent) {
        let fields = metadata.merging(event.metadata ?? [:]) { $1 }.sorted { $0.key < $1.key }
        let words = fields.map { "\($0.key)=\($0.value)" }.joined(separator: " ")
        lines.add("\(event.level) \(event.message) \(words)")
    }
}
