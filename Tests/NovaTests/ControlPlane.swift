import Foundation
import JSONCodec
import Support
import TestSupport

/// `Tests/Peers/nova_control_plane.py`: Nova's client, objects and conductor, and a `vmopsd` that they drive.
struct ControlPlane: Sendable {
    /// An exception that Nova's client raised.
    struct Raised: Error, CustomStringConvertible {
        let className: String
        let text: String
        let code: Int64?

        var description: String { "\(className): \(text)" }
    }

    /// All of them at once would be a load that no machine is meant to bear.
    private static let turns = Turns(4)

    let release: NovaRelease
    let daemon: DaemonProcess
    private let process: LineProcess

    /// An image as the API describes it, and the file that the host has of it.
    static let imageID = "3f0c9a52-7f4e-4d39-8a5b-0f6c2d1e4b88"
    static let imageBytes = 1 << 16
    static let image: JSONValue = [
        "id": .string(imageID), "name": "cirros-0.6", "status": "active", "container_format": "bare",
        "disk_format": "raw", "size": .int(Int64(imageBytes)), "min_ram": 0, "min_disk": 0, "owner": "ops",
        "checksum": "fcd6bcb56c1689fcef28b57c22475bad", "properties": .object([:]),
        "created_at": "2026-01-15T10:20:30.000000", "updated_at": "2026-01-15T10:20:30.000000", "deleted": false,
        "deleted_at": nil,
    ]

    /// Runs both while `body` runs.
    ///
    /// - Parameters:
    ///   - release: the version of Nova.
    ///   - conductor: whether there is one, and whether the daemon knows of it. It consists of Nova's methods, and notes
    ///     what it is asked.
    ///   - service: It is Nova's own service instead.
    ///   - cap: `[upgrade_levels] compute`.
    ///   - notifications: whether versioned notifications are sent and listened to.
    ///   - sharesStorage: whether the hosts have their instances at one place.
    ///   - cloud: the services that the conductor knows.
    static func run(
        _ release: NovaRelease = .nova34,
        conductor: Bool,
        service: Bool = false,
        cap: String? = nil,
        notifications: Bool = false,
        options: [String: [String: String]] = [:],
        sharesStorage: Bool = false,
        cloud: CloudServer? = nil,
        _ body: @escaping @Sendable (ControlPlane) async throws -> Void
    ) async throws {
        let python = try await release.python()
        await turns.enter()
        defer { turns.leave() }
        var settings = DaemonSettings()
        settings.options["nova"] = conductor ? ["conductor": "rpc"] : ["compute_api": "true"]
        settings.options["simulated"] = ["boot_lines": "3"]
        if service {
            settings.options["nova"]?["service_version"] = "\(release.serviceVersion)"
            settings.options["nova"]?["report_interval"] = "0.5"
        }
        for (group, values) in options { settings.options[group, default: [:]].merge(values) { $1 } }
        try await DaemonProcess.run(
            settings,
            waitsForService: !conductor,
            prepare: { directory in
                try await prepareImage(directory)
                if sharesStorage { try shareInstances(directory) }
            }
        ) { daemon in
            try await withTemporaryDirectory { directory in
                var arguments = [
                    Checkout.peers.appending(path: "nova_control_plane.py").path, "--url", daemon.url, "--directory",
                    directory,
                ]
                if conductor { arguments.append(service ? "--service" : "--conductor") }
                if notifications { arguments.append("--notifications") }
                if let cloud { arguments += ["--cloud", cloud.address] }
                if let cap { arguments += ["--cap", cap] }
                try await LineProcess.run(
                    python,
                    arguments,
                    environment: ["PYTHONWARNINGS": "ignore", "PYTHONDONTWRITEBYTECODE": "1"]
                ) { process in
                    _ = try await process.readLine(timeout: .seconds(120))
                    // A host waits for its conductor.
                    if conductor { try await daemon.waitForService() }
                    try await body(ControlPlane(release: release, daemon: daemon, process: process))
                }
            }
        }
    }

    @Sendable
    private static func prepareImage(_ directory: String) async throws {
        let images = URL(filePath: directory).appending(path: "state/images")
        try FileManager.default.createDirectory(
            at: images,
            withIntermediateDirectories: true,
            attributes: [.posixPermissions: 0o700]
        )
        try FileManager.default.setAttributes(
            [.posixPermissions: 0o700],
            ofItemAtPath: directory + "/state"
        )
        try Data(count: imageBytes).write(to: images.appending(path: imageID))
    }

    private static func shareInstances(_ directory: String) throws {
        let files = FileManager.default
        for path in ["shared", "state/host-a", "state/host-b"] {
            try files.createDirectory(
                atPath: directory + "/" + path,
                withIntermediateDirectories: true,
                attributes: [.posixPermissions: 0o700]
            )
        }
        for host in ["host-a", "host-b"] {
            try files.createSymbolicLink(
                atPath: directory + "/state/\(host)/instances",
                withDestinationPath: directory + "/shared"
            )
        }
    }

    // MARK: - Commands

    /// Sends a command and waits for its answer.
    ///
    /// - Throws: ``Raised`` when Nova raised.
    @discardableResult
    func ask(_ op: String, _ fields: JSONObject = [:], timeout: Duration = .seconds(60)) async throws -> JSONValue {
        var command: JSONObject = ["op": .string(op)]
        for field in fields { command[field.key] = field.value }
        let line = String(decoding: try JSONWriter.bytes(of: .object(command)), as: UTF8.self)
        let answer = try JSONReader.read(try await process.ask(line, timeout: timeout).utf8.span)
        if let name = answer["raised"]?.stringValue {
            throw Raised(
                className: name,
                text: answer["text"]?.stringValue ?? "",
                code: answer["code"]?.intValue
            )
        }
        return answer
    }

    /// A method of Nova's `ComputeAPI`.
    @discardableResult
    func compute(
        _ method: String,
        _ uuid: String? = nil,
        _ args: JSONObject = [:],
        action: String? = nil
    ) async throws -> JSONValue {
        try await ask(
            "compute",
            [
                "method": .string(method), "uuid": uuid.map(JSONValue.string) ?? .null, "args": .object(args),
                "action": action.map(JSONValue.string) ?? .null,
            ]
        )
    }

    /// The class and code that a method of `ComputeAPI` raises; `nil` when it does not.
    func failure(_ method: String, _ uuid: String? = nil, _ args: JSONObject = [:]) async throws -> Raised? {
        do {
            try await compute(method, uuid, args)
            return nil
        } catch let raised as Raised {
            return raised
        }
    }

    /// What the database has.
    func show(_ uuid: String, migration: Int64? = nil) async throws -> JSONValue {
        try await ask("show", ["uuid": .string(uuid), "migration": migration.map(JSONValue.int) ?? .null])
    }

    /// A new record; built by nobody yet, or with `host` as if it had been.
    func create(on host: String? = nil, _ more: JSONObject = [:]) async throws -> String {
        var fields: JSONObject = ["image": Self.image]
        if let host {
            fields["host"] = .string(host)
            fields["vm_state"] = "active"
        }
        for field in more { fields[field.key] = field.value }
        guard let uuid = try await ask("create", fields)["uuid"]?.stringValue else {
            throw Raised(className: "test", text: "no uuid", code: nil)
        }
        return uuid
    }

    /// Waits until the database shows the instance in a state, doing nothing.
    @discardableResult
    func wait(_ uuid: String, _ state: String, migration: Int64? = nil) async throws -> JSONValue {
        var shown: JSONValue = .null
        do {
            try await eventually(timeout: .seconds(120), "instance in state \(state)") {
                shown = try await show(uuid, migration: migration)
                return shown["vm_state"]?.stringValue == state && shown["task_state"]?.isNull == true
            }
        } catch {
            throw Raised(className: "NotReached", text: "\(error): \(shown)", code: nil)
        }
        return shown
    }

    /// Waits until an instance's console has so many lines: a guest may take its time to write them.
    func waitForConsole(_ uuid: String, lines: Int = 1) async throws {
        try await eventually(timeout: .seconds(120), "\(lines) lines of the console") {
            let text = try await compute("get_console_output", uuid, ["tail_length": nil])["result"]?.stringValue
            return (text?.split(separator: "\n").count ?? 0) >= lines
        }
    }

    /// A running instance, booted as Nova's conductor boots one.
    func boot(on host: String = "host-a", _ more: JSONObject = [:]) async throws -> String {
        let uuid = try await create(on: nil, more)
        try await ask("build", ["uuid": .string(uuid), "host": .string(host), "image": Self.image])
        try await wait(uuid, "active")
        return uuid
    }

    /// Kills the daemon, and starts another one for some of its hosts, with options of `[simulated]`.
    func restart(only hosts: [String], _ options: [String: String] = [:]) async throws {
        try await daemon.kill()
        var settings = daemon.settings
        settings.hosts = hosts
        settings.options["simulated"] = ["boot_lines": "3"].merging(options) { $1 }
        daemon.settings = settings
        try await daemon.start()
    }

    /// Whether a host has a directory of the instance's.
    func hasFiles(_ uuid: String, _ host: String) -> Bool {
        FileManager.default.fileExists(atPath: daemon.statePath + "/\(host)/instances/\(uuid)/.vmops-instance")
    }

    /// Has an instance evacuated; the migration's number.
    func evacuate(_ uuid: String, to host: String, _ more: JSONObject = [:]) async throws -> Int64 {
        var fields: JSONObject = ["uuid": .string(uuid), "dest": .string(host)]
        for field in more { fields[field.key] = field.value }
        guard let number = try await ask("evacuate", fields)["migration"]?.intValue else {
            throw Raised(className: "test", text: "no migration", code: nil)
        }
        return number
    }

    /// Waits until a migration has a status.
    func wait(
        _ uuid: String,
        migration: Int64,
        is status: String,
        timeout: Duration = .seconds(120)
    ) async throws {
        try await eventually(timeout: timeout, "migration is \(status)") {
            try await show(uuid, migration: migration)["migration"]?.stringValue == status
        }
    }

    /// What the conductor was asked to write since the last time, without events of actions and what hosts say of
    /// themselves.
    func saves() async throws -> [JSONValue] {
        let all = try await ask("saves")["saves"]?.arrayValue ?? []
        return all.filter { $0["changes"] != nil && !["Service", "ComputeNode"].contains($0["object"]?.stringValue) }
    }

    /// The record of a host's service, and that of its node.
    func service(_ host: String) async throws -> (service: JSONValue?, node: JSONValue?) {
        let all = try await ask("services")
        return (
            all["services"]?.arrayValue?.first { $0["host"]?.stringValue == host },
            all["nodes"]?.arrayValue?.first { $0["host"]?.stringValue == host }
        )
    }
}
