import Foundation
import HostBackend
import JSONCodec
import Logging
import PluginHost
import PluginProtocol
import Support
import TestSupport
import Testing

/// What a worker and a plugin really say to each other agrees with `schemas/plugin/`.
@Suite(.needsPython, .timeLimit(.minutes(3)))
struct PluginSchemaTests {
    private static let quiet = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }

    @Test func everyMethodHasASchemaAndEverySchemaAMethod() async throws {
        let described = try await SchemaChecker.run { (checker: SchemaChecker) async throws in
            let (names, problems) = try await checker.schemas()
            #expect(problems == [])
            return names.compactMap { name -> String? in
                guard name.hasPrefix("plugin/methods/") else { return nil }
                return String(name.dropFirst("plugin/methods/".count).dropLast(".schema.json".count))
            }
        }
        #expect(described.sorted() == PluginMethod.allCases.map(\.rawValue).sorted())
    }

    @Test func everyMessageOfASessionAgrees() async throws {
        try await withTemporaryDirectory { directory in
            let lines = try await Self.record(directory)
            let (messages, kinds) = try await SchemaChecker.run { (checker: SchemaChecker) async throws in
                try await Self.check(lines, checker)
            }
            #expect(messages > 40)
            #expect(kinds.isSuperset(of: ["hello", "request", "response", "event", "end", "goodbye"]))
        }
    }

    /// Every message, and for requests and their answers the method's own schema.
    private static func check(_ lines: [JSONValue], _ checker: SchemaChecker) async throws -> (Int, Set<String>) {
        var methods: [Int64: String] = [:]
        var kinds: Set<String> = []
        for line in lines {
            let side = line["from"]?.stringValue ?? ""
            let message = line["message"] ?? .null
            let kind = message["kind"]?.stringValue ?? ""
            kinds.insert(kind)
            let schema = kind == "hello" ? "hello-\(side)" : kind
            #expect(try await checker.problems("plugin/\(schema).schema.json", message) == [], "\(message)")
            let id = message["id"]?.intValue ?? 0
            if kind == "request", let method = message["method"]?.stringValue {
                methods[id] = method
                let part = "plugin/methods/\(method).schema.json#/properties/params"
                #expect(try await checker.problems(part, message["params"] ?? [:]) == [], "\(message)")
            }
            if kind == "response", let method = methods[id], let result = message["result"] {
                let part = "plugin/methods/\(method).schema.json#/properties/result"
                #expect(try await checker.problems(part, result) == [], "\(method): \(result)")
            }
        }
        let seen = Set(methods.values)
        let missing = Set(PluginMethod.allCases.map(\.rawValue)).subtracting(seen)
        // What a simulated host cannot do, or only with another host.
        #expect(missing.isSubset(of: Self.unseen), "\(missing)")
        return (lines.count, kinds)
    }

    private static let unseen: Set<String> = [
        "instance.removeFiles", "image.get", "migrate.checkOutgoing", "migrate.start", "migrate.finishIncoming",
        "migrate.finishOutgoing", "migrate.takeBack", "machine.exportRootDisk", "configDrive.build",
    ]

    /// A session that uses whatever the simulated host has.
    private static func record(_ directory: String) async throws -> [JSONValue] {
        let record = directory + "/record"
        let script = Checkout.peers.appending(path: "record_plugin.py").path
        let vmopsd = Checkout.program("vmopsd")
        let settings = PluginSettings(
            command: [Checkout.python, script, record, vmopsd, "plugin-host", "simulated"],
            options: ["boot_lines": "3", "sync_state": "false", "migration_ms": "50"]
        )
        let host = try PluginHost(
            name: "host-a",
            settings: settings,
            directory: directory + "/host-a",
            workerVersion: "0",
            digest: { _ in "" },
            logger: quiet
        )
        try await host.connect()
        do {
            try await use(host, directory + "/host-a")
        } catch {
            await host.disconnect()
            throw error
        }
        await host.disconnect()
        let text = try String(contentsOfFile: record, encoding: .utf8)
        return try text.split(separator: "\n").map { try JSONReader.read(Array($0.utf8)) }
    }

    private static func use(_ host: PluginHost, _ directory: String) async throws {
        let uuid = try #require(InstanceUUID(UniqueID.makeDashed()))
        let place = "\(directory)/instances/\(uuid)"
        try FileManager.default.createDirectory(atPath: place, withIntermediateDirectories: true)
        _ = try await host.hostInfo()
        try await host.probe()
        let root = place + "/root.disk"
        _ = try await host.createDisk(DiskRequest(path: root, format: "raw", source: .blank, virtualSize: 1 << 20))
        _ = try await host.diskInfo(root)
        try await host.resizeDisk(root, virtualSize: 2 << 20)
        let address = DeviceAddress(bus: .ide, controller: 0, unit: 0)
        let spec = MachineSpec(
            uuid: uuid,
            name: "vm",
            directory: place,
            memoryMB: 64,
            vcpus: 1,
            disks: [DiskAttachment(role: .root, path: root, format: "raw", address: address)]
        )
        try await host.createMachine(spec)
        _ = try await host.setState(uuid, .running, deadline: .seconds(60))
        guard case .stream(let console) = try await host.openConsole(uuid) else { return }
        _ = try await console.next()
        try await host.writeConsole(uuid, Array("\n".utf8))
        _ = try await host.diagnostics(uuid)
        try await devices(host, spec)
        _ = try await host.reset(uuid)
        _ = try await host.requestShutdown(uuid, reason: "a test")
        await console.close()
        try await host.cancelJobs(uuid)
        let options = MigrationOptions(copyStorage: true, destination: "host-b")
        // The other machine may come, is prepared for, and does not come.
        var other = spec
        other.uuid = try #require(InstanceUUID(UniqueID.makeDashed()))
        other.directory = "\(directory)/instances/\(other.uuid)"
        try FileManager.default.createDirectory(atPath: other.directory, withIntermediateDirectories: true)
        other.disks = []
        let ticket = try await host.checkIncoming(other, options)
        _ = try await host.prepareIncoming(other, ticket)
        try await host.abandonIncoming(other.uuid)
        _ = try await host.machines()
        _ = try await host.machine(uuid)
        _ = try await host.setState(uuid, .off, deadline: .seconds(60))
        try await host.deleteMachine(uuid)
    }

    private static func devices(_ host: PluginHost, _ spec: MachineSpec) async throws {
        let file = spec.directory + "/volume"
        _ = try await host.createDisk(DiskRequest(path: file, format: "raw", source: .blank, virtualSize: 1 << 20))
        let volume = VolumeConnection(volumeID: "v", type: "file", data: Redacted(["path": .string(file)]))
        let path = try await host.connectVolume(volume)
        let disk = DiskAttachment(
            role: .volume,
            path: path,
            format: "raw",
            address: DeviceAddress(bus: .scsi, controller: 0, unit: 1),
            identifier: "v"
        )
        try await host.attachDisk(disk, to: spec.uuid)
        try await host.detachDisk(path: path, from: spec.uuid)
        try await host.disconnectVolume(volume)
        let interface = NetworkInterface(id: "vif", macAddress: "fa:16:3e:00:00:01")
        try await host.plugInterface(interface, of: spec.uuid)
        try await host.attachInterface(interface, to: spec.uuid)
        try await host.detachInterface(id: "vif", from: spec.uuid)
        try await host.unplugInterface(interface, of: spec.uuid)
    }
}
