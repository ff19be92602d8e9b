import DaemonBench
import Foundation
import OsloMessaging
import RPCClient
import Support
import TestSupport
import Testing

/// Two daemons with one broker: `host-a` in the first, `host-b` in the second.
struct MigrationBench: Sendable {
    let source: Bench
    let destination: DaemonProcess

    /// Quick enough for tests, patient enough for a loaded machine.
    static let options: [String: [String: String]] = [
        "migration": [
            "peer_timeout": "3", "retry_interval": "0.3", "progress_timeout": "4", "switchover_timeout": "4",
        ],
        "simulated": ["boot_lines": "3", "lines_per_second": "100", "migration_ms": "200", "sync_state": "false"],
    ]

    /// - Parameters:
    ///   - source: options of the source alone, over ``options``.
    ///   - destination: the same of the destination.
    ///   - environment: variables of the destination.
    static func run(
        source: [String: [String: String]] = [:],
        destination: [String: [String: String]] = [:],
        environment: [String: String] = [:],
        url: String? = nil,
        prepare: @escaping @Sendable (_ directory: String, _ host: String) async throws -> Void = { _, _ in },
        _ body: @escaping @Sendable (MigrationBench) async throws -> Void
    ) async throws {
        try await Bench.run(settings("host-a", source, url), prepare: { try await prepare($0, "host-a") }) { bench in
            var other = settings("host-b", destination, bench.daemon.url)
            other.environment = environment
            try await DaemonProcess.run(other, prepare: { try await prepare($0, "host-b") }) { daemon in
                try await body(MigrationBench(source: bench, destination: daemon))
            }
        }
    }

    static func settings(_ host: String, _ more: [String: [String: String]], _ url: String?) -> DaemonSettings {
        var options = options
        for (group, values) in more { options[group, default: [:]].merge(values) { $1 } }
        return DaemonSettings(hosts: [host], options: options, url: url)
    }

    func daemon(_ host: String) -> DaemonProcess { host == "host-a" ? source.daemon : destination }

    /// Spawns on `host-a` and waits for some output.
    func spawn() async throws -> TestInstance {
        let instance = TestInstance("traveller", on: "host-a")
        try await source.spawn(instance)
        try await eventually("some output") { try await lines(instance, on: "host-a").count >= 5 }
        return instance
    }

    func migrate(_ instance: TestInstance, timeout: Duration = .seconds(60)) async throws -> JSONValue {
        try await source.call(
            "live_migration",
            instance.reference.merging("dest", "host-b"),
            on: "host-a",
            timeout: timeout
        )
    }

    /// The class that the migration failed with.
    func migrationFailure(_ instance: TestInstance) async throws -> String? {
        do {
            _ = try await migrate(instance)
            return nil
        } catch let failure as RemoteFailure {
            return failure.className
        }
    }

    /// Ends a daemon's planned faults, and starts it again once it has ended.
    func restart(_ host: String, without faults: [String]) async throws {
        let daemon = daemon(host)
        for fault in faults { daemon.settings.options["simulated"]?[fault] = nil }
        try await daemon.start()
    }

    func state(_ instance: TestInstance, on host: String) async throws -> String? {
        do {
            let info = try await source.call("get_info", instance.reference, on: host, timeout: .seconds(5))
            return info["state"]?.stringValue
        } catch let failure as RemoteFailure where failure.className == "InstanceNotFound" {
            return nil
        } catch let error as RPCClientError where error.isTimeout {
            // Asked before the host's queue was there again.
            return "no answer"
        }
    }

    /// The numbers of the guest's lines in the log.
    func lines(_ instance: TestInstance, on host: String) async throws -> [Int] {
        let text = try await source.call("get_console_output", instance.reference, on: host).stringValue ?? ""
        return text.split(separator: "\n").filter { $0.hasPrefix("line ") }.compactMap { Int($0.dropFirst(5)) }
    }

    /// Files of an instance that a host has.
    func files(_ instance: TestInstance, on host: String) -> [String] {
        let state = daemon(host).statePath + "/" + host
        let paths = ["\(state)/instances/\(instance.uuid)", "\(state)/simulated/machines/\(instance.uuid).json"]
        return paths.filter { FileManager.default.fileExists(atPath: $0) }
    }

    /// Waits until the instance runs at one host, with its whole log, and the other has nothing of it.
    ///
    /// - Parameter hasGap: the host was killed, so that some of what the guest printed is lost.
    func expectOnly(_ instance: TestInstance, at host: String, hasGap: Bool = false) async throws {
        let other = host == "host-a" ? "host-b" : "host-a"
        try await eventually(timeout: .seconds(40), "\(instance.name) only on \(host)") {
            guard try await state(instance, on: host) == "running" else { return false }
            guard try await state(instance, on: other) == nil else { return false }
            return files(instance, on: other) == []
        }
        #expect(files(instance, on: host).count == 2)
        // The log is complete, and goes on.
        let before = try await lines(instance, on: host).count
        try await eventually("the log goes on") { try await lines(instance, on: host).count > before + 5 }
        let numbers = try await lines(instance, on: host)
        if hasGap {
            #expect(zip(numbers, numbers.dropFirst()).allSatisfy { $0 < $1 }, "\(numbers)")
            #expect(numbers.first == 1)
        } else {
            #expect(numbers == Array(1...numbers.count))
        }
    }
}

extension JSONObject {
    func merging(_ key: String, _ value: JSONValue) -> JSONObject {
        var object = self
        object[key] = value
        return object
    }
}
