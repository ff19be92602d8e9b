import DaemonBench
import Foundation
import Glibc
import Support
import TestSupport
import Testing

/// A daemon whose hosts run real machines under QEMU, with the image `tick` in its image directory.
struct GuestBench: Sendable {
    let bench: Bench

    static let isPossible = TestBroker.isAvailable && QEMUProgram.isInstalled
    static let missing = TestBroker.isAvailable ? QEMUProgram.missing : TestBroker.missing

    /// What a daemon needs to be told for the small guest.
    static func settings(
        hosts: [String] = ["host-a"],
        options: [String: [String: String]] = [:]
    ) -> DaemonSettings {
        var all: [String: [String: String]] = [
            "DEFAULT": ["backend": "qemu", "resume_guests_state_on_host_boot": "false"],
            "qemu": ["acceleration": "tcg", "machine_type": "pc", "disk_bus": "ide"],
        ]
        for (group, options) in options { all[group, default: [:]].merge(options) { $1 } }
        return DaemonSettings(hosts: hosts, options: all)
    }

    /// Runs `body` while the daemon serves. Machines that it leaves are destroyed at the end.
    static func run(
        _ settings: DaemonSettings = settings(),
        prepare: @escaping @Sendable (_ directory: String) async throws -> Void = { _ in },
        _ body: @escaping @Sendable (GuestBench) async throws -> Void
    ) async throws {
        try await Bench.run(settings, prepare: prepare) { bench in
            let guests = GuestBench(bench: bench)
            try guests.addImage("tick.raw")
            do {
                try await body(guests)
            } catch {
                await guests.cleanUp(settings.hosts)
                throw error
            }
            await guests.cleanUp(settings.hosts)
        }
    }

    private func cleanUp(_ hosts: [String]) async {
        if bench.daemon.processIdentifier.map({ Glibc.kill($0, 0) }) != 0 { try? await bench.daemon.start() }
        for host in hosts {
            let infos = try? await bench.call("list_instance_infos", on: host)
            for info in infos?.arrayValue ?? [] {
                let instance: JSONValue = ["uuid": info["uuid"] ?? .null, "name": info["name"] ?? .null]
                _ = try? await bench.call("destroy", ["instance": instance], on: host)
            }
        }
    }

    var imagesDirectory: String { bench.daemon.statePath + "/images" }

    func addImage(_ name: String) throws {
        try FileManager.default.createDirectory(atPath: imagesDirectory, withIntermediateDirectories: true)
        try TickGuest.writeDisk(imagesDirectory + "/" + name)
    }

    // MARK: - Instances

    @discardableResult
    func spawn(_ instance: TestInstance, _ more: JSONObject = [:], _ args: JSONObject = [:]) async throws -> JSONValue {
        var description: JSONObject = [
            "uuid": .string(instance.uuid), "name": .string(instance.name), "memory_mb": 16, "vcpus": 1,
            "root_gb": 0, "image_ref": "tick",
        ]
        for member in more { description[member.key] = member.value }
        var all = args
        all["instance"] = .object(description)
        return try await bench.call("spawn", all, on: instance.host)
    }

    @discardableResult
    func perform(_ method: String, _ instance: TestInstance, _ args: JSONObject = [:]) async throws -> JSONValue {
        try await bench.call(method, naming(instance, args), on: instance.host)
    }

    /// The class of the failure, `nil` = success.
    func failure(_ method: String, _ instance: TestInstance, _ more: JSONObject = [:]) async throws -> String? {
        try await bench.failure(method, naming(instance, more))
    }

    private func naming(_ instance: TestInstance, _ more: JSONObject) -> JSONObject {
        var args = more
        args["instance"] = instance.reference["instance"]
        return args
    }

    func console(_ instance: TestInstance) async throws -> String {
        try await perform("get_console_output", instance).stringValue ?? ""
    }

    /// Waits until the console holds `text`, `times` times.
    @discardableResult
    func awaitConsole(_ instance: TestInstance, _ text: String, times: Int = 1) async throws -> String {
        var seen = ""
        try await eventually(timeout: .seconds(60), "'\(text)' on the console") {
            seen = try await console(instance)
            return seen.components(separatedBy: text).count > times
        }
        return seen
    }

    func awaitState(_ instance: TestInstance, _ state: String) async throws {
        try await eventually(timeout: .seconds(60), "state \(state)") { try await bench.state(instance) == state }
    }

    func type(_ text: String, _ instance: TestInstance) async throws {
        try await perform("console_write", instance, ["data": .string(Base64.encode(Array(text.utf8)))])
    }

    /// The process id of the machine's QEMU.
    func qemu(_ instance: TestInstance) throws -> Int32? { try QEMU.processes(uuid: instance.uuid).first }
}
