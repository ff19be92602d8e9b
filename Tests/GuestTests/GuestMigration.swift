import DaemonBench
import Foundation
import Glibc
import OsloMessaging
import RPCClient
import Support
import TestSupport
import Testing

/// Two daemons with real machines and one broker: `host-a` in the first, `host-b` in the second.
struct GuestMigration: Sendable {
    let guests: GuestBench
    let destination: DaemonProcess

    /// Quick enough for tests, patient enough for a loaded machine.
    static let options: [String: [String: String]] = [
        "migration": [
            "peer_timeout": "3", "retry_interval": "0.3", "progress_timeout": "4", "switchover_timeout": "4",
        ]
    ]

    /// So slow that a guest which keeps 8 MiB of its memory changing is not over before a test has done its worst.
    static let slow: [String: [String: String]] = [
        "migration": ["bandwidth": "4000000", "auto_converge": "false", "max_downtime_ms": "300"]
    ]

    /// - Parameters:
    ///   - both: options of both, over ``options``.
    ///   - source: options of the source alone; `destination` likewise.
    ///   - prepare: called with each daemon's directory before its first start.
    static func run(
        both: [String: [String: String]] = [:],
        source: [String: [String: String]] = [:],
        destination: [String: [String: String]] = [:],
        prepare: @escaping @Sendable (_ directory: String) async throws -> Void = { _ in },
        _ body: @escaping @Sendable (GuestMigration) async throws -> Void
    ) async throws {
        try await run(
            settings("host-a", [both, source]),
            settings("host-b", [both, destination]),
            prepare: prepare,
            body
        )
    }

    private static func run(
        _ source: DaemonSettings,
        _ destination: DaemonSettings,
        prepare: @escaping @Sendable (_ directory: String) async throws -> Void,
        _ body: @escaping @Sendable (GuestMigration) async throws -> Void
    ) async throws {
        try await GuestBench.run(source, prepare: prepare) { guests in
            var settings = destination
            settings.url = destination.url ?? guests.bench.daemon.url
            try await DaemonProcess.run(settings, prepare: prepare) { daemon in
                let migration = GuestMigration(guests: guests, destination: daemon)
                do {
                    try await body(migration)
                } catch {
                    await migration.cleanUp()
                    throw error
                }
                await migration.cleanUp()
            }
        }
    }

    /// The same with the second daemon behind a network of its own.
    static func run(
        _ network: NetworkNamespace,
        _ broker: PrivateBroker,
        _ body: @escaping @Sendable (GuestMigration) async throws -> Void
    ) async throws {
        var source = settings("host-a", [slow, ["migration": ["address": network.outside]]])
        source.url = broker.url
        var destination = settings("host-b", [["migration": ["address": network.inside]]])
        destination.url = "rabbit://guest:guest@\(network.outside):5672/"
        destination.command = network.command(Checkout.program("vmopsd"))
        try await run(source, destination, prepare: { _ in }, body)
    }

    private static func settings(_ host: String, _ more: [[String: [String: String]]]) -> DaemonSettings {
        var all = options
        for options in more {
            for (group, values) in options { all[group, default: [:]].merge(values) { $1 } }
        }
        return GuestBench.settings(hosts: [host], options: all)
    }

    /// No QEMU of either host outlives the test, whatever became of it.
    private func cleanUp() async {
        for host in ["host-a", "host-b"] {
            if daemon(host).processIdentifier.map({ Glibc.kill($0, 0) }) != 0 { try? await daemon(host).start() }
            let infos = try? await bench.call("list_instance_infos", on: host, timeout: .seconds(10))
            for info in infos?.arrayValue ?? [] {
                let instance: JSONValue = ["uuid": info["uuid"] ?? .null, "name": info["name"] ?? .null]
                _ = try? await bench.call("destroy", ["instance": instance], on: host)
            }
        }
    }

    var bench: Bench { guests.bench }

    func daemon(_ host: String) -> DaemonProcess { host == "host-a" ? bench.daemon : destination }

    /// Restarts a daemon with other options of the group `migration`.
    func change(_ host: String, _ options: [String: String], insteadOf old: [String: String]) async throws {
        let daemon = daemon(host)
        for name in old.keys { daemon.settings.options["migration"]?[name] = nil }
        daemon.settings.options["migration", default: [:]].merge(Self.options["migration"] ?? [:]) { $1 }
        daemon.settings.options["migration", default: [:]].merge(options) { $1 }
        try await daemon.terminate()
        try await daemon.start()
    }

    // MARK: - Moving

    /// Spawns on `host-a` and waits until the guest works.
    func spawn(_ more: JSONObject = [:], _ args: JSONObject = [:]) async throws -> TestInstance {
        let instance = TestInstance("traveller")
        try await guests.spawn(instance, more, args)
        try await guests.awaitConsole(instance, "ready")
        return instance
    }

    @discardableResult
    func migrate(
        _ instance: TestInstance,
        from host: String = "host-a",
        _ more: JSONObject = [:],
        timeout: Duration = .seconds(60)
    ) async throws -> JSONValue {
        var arguments = instance.reference
        arguments["dest"] = .string(host == "host-a" ? "host-b" : "host-a")
        for member in more { arguments[member.key] = member.value }
        return try await bench.call("live_migration", arguments, on: host, timeout: timeout)
    }

    /// The class that the migration failed with.
    func failure(_ instance: TestInstance, _ more: JSONObject = [:]) async throws -> String? {
        do {
            try await migrate(instance, more)
            return nil
        } catch let failure as RemoteFailure {
            return failure.className
        }
    }

    /// Waits until memory is being copied.
    func inTheCopy(_ instance: TestInstance) async throws {
        try await eventually(timeout: .seconds(30), "a migration in its copy") {
            let info = try await bench.call("get_info", instance.reference)
            return info["migration"]?["phase"] == "precopy"
                && info["migration"]?["transferred_bytes"]?.intValue ?? 0 > 0
        }
    }

    func type(_ text: String, _ instance: TestInstance, on host: String) async throws {
        var arguments = instance.reference
        arguments["data"] = .string(Base64.encode(Array(text.utf8)))
        try await bench.call("console_write", arguments, on: host)
    }

    func console(_ instance: TestInstance, on host: String) async throws -> String {
        try await bench.call("get_console_output", instance.reference, on: host).stringValue ?? ""
    }

    func awaitConsole(_ instance: TestInstance, on host: String, _ text: String, times: Int = 1) async throws {
        try await eventually(timeout: .seconds(60), "'\(text)' on the console at \(host)") {
            try await console(instance, on: host).components(separatedBy: text).count > times
        }
    }

    func state(_ instance: TestInstance, on host: String) async throws -> String? {
        do {
            let info = try await bench.call("get_info", instance.reference, on: host, timeout: .seconds(5))
            return info["state"]?.stringValue
        } catch let failure as RemoteFailure where failure.className == "InstanceNotFound" {
            return nil
        } catch let error as RPCClientError where error.isTimeout {
            return "no answer"
        }
    }

    // MARK: - What is left where

    /// What a host has of an instance on disk.
    func files(_ instance: TestInstance, on host: String) -> [String] {
        let state = daemon(host).statePath + "/" + host
        let paths = ["\(state)/instances/\(instance.uuid)", "\(state)/qemu/\(instance.uuid)"]
        return paths.filter { FileManager.default.fileExists(atPath: $0) }
    }

    /// Waits until the instance is at one host, in that state, and the other has nothing of it; then looks whether its
    /// log is whole.
    func expectOnly(
        _ instance: TestInstance,
        at host: String,
        _ wanted: String = "running",
        boots: Int = 1
    ) async throws {
        let other = host == "host-a" ? "host-b" : "host-a"
        try await eventually(timeout: .seconds(40), "\(instance.name) only on \(host)") {
            guard try await state(instance, on: host) == wanted else { return false }
            guard try await state(instance, on: other) == nil else { return false }
            return files(instance, on: other) == []
        }
        #expect(files(instance, on: host).count == 2)
        #expect(try QEMU.processes(uuid: instance.uuid).count == 1)
        if wanted == "running" {
            let before = try await console(instance, on: host).utf8.count
            try await eventually(timeout: .seconds(20), "the log goes on") {
                try await console(instance, on: host).utf8.count > before
            }
        }
        try Ticks.check(try await console(instance, on: host), boots: boots)
    }
}
