import Console
import Foundation
import HostBackend
import JSONCodec
import OsloMessaging
import SimulatedHost
import Support
import Synchronization
import TestSupport
import Testing
import VMOps

@testable import ComputeRPC

/// Two hosts that are not of one process and reach each other by remote methods only; here without a broker.
@Suite(.timeLimit(.minutes(5))) struct MigrationPeerTests {
    /// Carries calls to the endpoints of the test, as JSON text.
    private final class Wire: HostCaller, MigrationPeers {
        struct Silence: Error {}

        private let drivers = Mutex<[String: TestDriver]>([:])
        /// Methods whose answers are lost, and how many more times.
        let losses = Mutex<[String: Int]>([:])
        let methods = Mutex<[String]>([])

        func set(_ drivers: [TestDriver]) {
            self.drivers.withLock { all in
                for driver in drivers { all[driver.operations.host] = driver }
            }
        }

        /// Each driver holds its wire.
        func clear() { drivers.withLock { $0 = [:] } }

        func peer(_ host: String) throws -> any MigrationPeer { RemotePeer(host: host, caller: self) }

        func call(_ method: String, _ args: JSONObject, on host: String, timeout: Duration) async throws -> JSONValue {
            guard let driver = drivers.withLock({ $0[host] }) else { throw Silence() }
            methods.withLock { $0.append(method) }
            let text = try JSONWriter.bytes(of: .object(args))
            let result = try await driver.call(method, try JSONReader.read(text).objectValue ?? [:])
            let isLost = losses.withLock { losses in
                guard let left = losses[method], left > 0 else { return false }
                losses[method] = left - 1
                return true
            }
            if isLost { throw Silence() }
            return try JSONReader.read(try JSONWriter.bytes(of: result))
        }
    }

    private static func withPair(_ body: (Wire, TestDriver, TestDriver) async throws -> Void) async throws {
        let wire = Wire()
        defer { wire.clear() }
        try await TestDriver.with(host: "host-a", peers: wire) { source in
            try await TestDriver.with(host: "host-b", peers: wire) { destination in
                wire.set([source, destination])
                try await body(wire, source, destination)
            }
        }
    }

    private static func lines(_ driver: TestDriver, _ instance: JSONObject) async throws -> [Int] {
        let text = try await driver.call("get_console_output", ["instance": .object(instance)]).stringValue ?? ""
        return text.split(separator: "\n").filter { $0.hasPrefix("line ") }.compactMap { Int($0.dropFirst(5)) }
    }

    private static let metadata: JSONObject = [
        "metadata": ["sim.lines_per_second": "500"], "root_gb": 1, "config_drive": true,
    ]

    @Test func theMachineItsDisksItsVolumeAndItsLogMove() async throws {
        try await Self.withPair { wire, source, destination in
            let path = source.directory + "/volume.raw"
            try Data(repeating: 7, count: 1 << 20).write(to: URL(fileURLWithPath: path))
            let instance = try await source.spawn(Self.metadata)
            let it: JSONObject = ["instance": .object(instance)]
            try await source.call(
                "attach_volume",
                [
                    "instance": .object(instance),
                    "connection_info": [
                        "driver_volume_type": "file", "serial": "vol-1", "data": ["device_path": .string(path)],
                    ],
                ]
            )
            try await eventually("output") { try await Self.lines(source, instance).count > 20 }
            let info = try await source.call("live_migration", ["instance": .object(instance), "dest": "host-b"])
            #expect(info["host"] == "host-b")
            #expect(info["state"] == "running")
            #expect(try await source.failure("get_info", it)?.className == "InstanceNotFound")
            #expect(source.backend.world.connectedVolumes.isEmpty)
            #expect(destination.backend.world.connectedVolumes.map(\.volumeID) == ["vol-1"])
            let count = try await Self.lines(destination, instance).count
            try await eventually("more output") { try await Self.lines(destination, instance).count > count + 20 }
            let lines = try await Self.lines(destination, instance)
            #expect(lines == Array(1...lines.count))
            let directory = "/instances/\(instance["uuid"]?.stringValue ?? "")"
            #expect(!FileManager.default.fileExists(atPath: source.directory + directory))
            let files = try FileManager.default.contentsOfDirectory(atPath: destination.directory + directory)
            #expect(files.contains("configdrive.iso"))
            #expect(!files.contains { $0.contains(".partial-") || $0.contains(".migration-") })
            try await destination.call("destroy", it)
            #expect(destination.backend.world.connectedVolumes.isEmpty)
        }
    }

    /// The other host has done what it was asked; only its answer is lost.
    @Test(arguments: [
        ("check_can_live_migrate_destination", false), ("pre_live_migration", false),
        ("post_live_migration_at_destination", true), ("console_transfer_receive", true),
        ("console_transfer_install", true), ("console_transfer_prepare", true),
    ])
    func aLostAnswerLeavesOneMachine(_ method: String, moves: Bool) async throws {
        try await Self.withPair { wire, source, destination in
            let instance = try await source.spawn(Self.metadata)
            let it: JSONObject = ["instance": .object(instance)]
            source.operations.settings.migrationRetryInterval = .milliseconds(20)
            try await eventually("output") { try await Self.lines(source, instance).count > 5 }
            wire.losses.withLock { $0[method] = 1 }
            let failure = try await source.failure("live_migration", ["instance": .object(instance), "dest": "host-b"])
            #expect((failure == nil) == moves)
            let (keeper, other) = moves ? (destination, source) : (source, destination)
            // The first round of repetitions may be as far off as the interval was at the start.
            for uuid in [instance["uuid"]?.stringValue].compactMap({ $0.flatMap { InstanceUUID($0) } }) {
                _ = await source.operations.migrated(uuid, to: "host-b")
            }
            #expect(try await keeper.call("get_info", it)["state"] == "running")
            if moves {
                #expect(try await other.failure("get_info", it)?.className == "InstanceNotFound")
                let lines = try await Self.lines(keeper, instance)
                #expect(lines == Array(1...lines.count))
            } else {
                let again = try await source.call("live_migration", ["instance": .object(instance), "dest": "host-b"])
                #expect(again["host"] == "host-b")
                let lines = try await Self.lines(destination, instance)
                #expect(lines == Array(1...lines.count))
            }
        }
    }

    @Test func wordsOfAnotherTransferChangeNothing() async throws {
        try await Self.withPair { wire, source, destination in
            let instance = try await source.spawn(Self.metadata)
            let it: JSONObject = ["instance": .object(instance)]
            try await source.call("live_migration", ["instance": .object(instance), "dest": "host-b"])
            let other: JSONObject = ["instance": .object(instance), "migrate_data": ["transfer": "another"]]
            let finish = try await destination.failure("post_live_migration_at_destination", other)
            #expect(finish?.className == "InstanceNotFound")
            try await destination.call("rollback_live_migration_at_destination", other)
            let log: JSONObject = ["instance": .object(instance), "transfer": "another"]
            #expect(try await destination.failure("console_transfer_prepare", log)?.className == "InstanceNotFound")
            #expect(try await source.call("knows_live_migration", other) == false)
            #expect(try await destination.call("get_info", it)["state"] == "running")
        }
    }

    @Test func aRecordThatNamesFilesOfOthersIsRefused() async throws {
        try await Self.withPair { wire, source, destination in
            let instance = try await source.spawn(Self.metadata)
            let stolen: JSONObject = [
                "role": "root", "media": "disk", "path": "/etc/shadow", "format": "raw", "bus": "ide",
                "controller": 0, "unit": 0,
            ]
            var record: JSONObject = [
                "uuid": instance["uuid"] ?? .null, "name": "thief", "memory_mb": 64, "vcpus": 1, "root_gb": 1,
                "state": "running", "complete": true, "created_at": 1, "disks": [.object(stolen)],
            ]
            func refusal() async throws -> String? {
                try await destination.failure(
                    "check_can_live_migrate_destination",
                    [
                        "instance": ["uuid": instance["uuid"] ?? .null],
                        "migrate_data": [
                            "version": 1, "transfer": "t", "source": "host-a", "copy_storage": false,
                            "record": .object(record), "directory": "/somewhere", "startup_memory_mb": 64,
                        ],
                    ]
                )?.className
            }
            #expect(try await refusal() == "MigrationPreCheckError")
            record["uuid"] = .string(UniqueID.makeDashed())
            #expect(try await refusal() == "InvalidInput")
        }
    }
}
