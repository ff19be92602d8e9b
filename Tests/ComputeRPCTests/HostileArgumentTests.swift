import Foundation
import HostBackend
import OsloMessaging
import Support
import Testing
import VMOps

@testable import ComputeRPC

/// Arguments that try to reach a path, a command line or too much memory.
@Suite(.timeLimit(.minutes(5)))
struct HostileArgumentTests {
    /// Text that means something to a file system, a shell, a program's option parser, QEMU or a terminal.
    static let texts = [
        "../../etc/passwd", "/etc/passwd", "..", ".", ".hidden", "-rf", "--help", "a/b", "a\\b", "a b", "a;b", "a,b",
        "a=b", "$(id)", "`id`", "a\nb", "a\u{0}b", "\u{1B}[2J", "json:{}", "nbd:unix:/x", "https://x/y", "file=/x", "ü",
        "", String(repeating: "a", count: 5000),
    ]

    private static let mac = "fa:16:3e:00:00:01"

    private func volume(_ changes: JSONObject = [:], data: JSONObject = [:]) -> JSONValue {
        var volume: JSONObject = ["driver_volume_type": "file", "serial": "v", "data": .object(data)]
        for member in changes { volume[member.key] = member.value }
        return .object(volume)
    }

    private func interface(_ changes: JSONObject) -> JSONValue {
        var interface: JSONObject = ["id": "i", "address": .string(Self.mac)]
        for member in changes { interface[member.key] = member.value }
        return .object(interface)
    }

    /// Every place of a message that could name something on the host.
    private func places(_ text: JSONValue, _ instance: JSONObject) -> [(name: String, method: String, args: JSONObject)]
    {
        let it: JSONValue = .object(instance)
        func spawn(_ name: String, _ more: JSONObject) -> (String, String, JSONObject) {
            var args: JSONObject = ["instance": .object(TestDriver.instance())]
            for member in more { args[member.key] = member.value }
            return (name, "spawn", args)
        }
        return [
            spawn("uuid", ["instance": .object(TestDriver.instance(["uuid": text]))]),
            spawn("vif id", ["network_info": [interface(["id": text])]]),
            spawn("vif address", ["network_info": [interface(["address": text])]]),
            spawn("vif type", ["network_info": [interface(["type": text])]]),
            spawn("bridge", ["network_info": [interface(["network": ["bridge": text]])]]),
            spawn("devname", ["network_info": [interface(["devname": text])]]),
            ("snapshot", "snapshot", ["instance": it, "image_id": text]),
            (
                "volume id", "attach_volume",
                ["instance": it, "connection_info": volume(["serial": text]), "mountpoint": "x"]
            ),
            (
                "volume type", "attach_volume",
                ["instance": it, "connection_info": volume(["driver_volume_type": text]), "mountpoint": "x"]
            ),
            (
                "format", "attach_volume",
                ["instance": it, "connection_info": volume(data: ["format": text]), "mountpoint": "x"]
            ),
            (
                "vif address of another sign", "attach_interface",
                ["instance": it, "vif": interface(["address": "fa:16:3e:00:00:+1"])]
            ),
            (
                "mountpoint", "attach_volume",
                ["instance": it, "connection_info": volume(), "mountpoint": text == "" ? ".." : text]
            ),
            ("attached vif", "attach_interface", ["instance": it, "vif": interface(["devname": text])]),
        ]
    }

    @Test func noNameReachesAPathOrACommandLine() async throws {
        try await TestDriver.with { driver in
            let instance = try await driver.spawn()
            let before = try Self.names(driver.directory)
            for text in Self.texts {
                for place in places(.string(text), instance) {
                    let failure = try await driver.failure(place.method, place.args)
                    #expect(failure?.className == "InvalidInput", "\(place.name) = \(text.debugDescription.prefix(60))")
                }
            }
            #expect(try await driver.call("list_instances").arrayValue?.count == 1)
            #expect(try Self.names(driver.directory) == before)
        }
    }

    private static func names(_ directory: String) throws -> [String] {
        try FileManager.default.subpathsOfDirectory(atPath: directory).filter { !$0.contains("console") }.sorted()
    }

    @Test func imagesAreFoundByPlainNamesAlone() async throws {
        try await TestDriver.with { driver in
            try FileManager.default.createDirectory(
                atPath: driver.directory + "/images",
                withIntermediateDirectories: true
            )
            try Data(count: 4096).write(to: URL(filePath: driver.directory + "/outside.raw"))
            for text in ["../outside.raw", "../outside", driver.directory + "/outside.raw", ".", "..", "a\u{0}", "a\n"]
            {
                let args: JSONObject = ["instance": .object(TestDriver.instance(["image_ref": .string(text)]))]
                let failure = try await driver.failure("spawn", args)
                #expect(failure?.className == "ImageUnacceptable", "\(text.debugDescription): \(failure as Any)")
            }
        }
    }

    @Test func volumesLieWhereTheOperatorKeepsThem() async throws {
        try await TestDriver.with { driver in
            let places = driver.directory + "/volumes"
            try FileManager.default.createDirectory(atPath: places, withIntermediateDirectories: true)
            for name in ["volumes/good", "other"] {
                try Data(count: 4096).write(to: URL(filePath: driver.directory + "/" + name))
            }
            driver.operations.settings.volumePaths = [places]
            let instance = try await driver.spawn()
            let attempts = [
                driver.directory + "/other", "/etc/passwd", places, places + "/", places + "/../other",
                places + "/./good",
                places + "//good", places + "x", "volumes/good", "", "json:{\"driver\":\"file\"}", "nbd://x",
                places + "/a\u{0}",
            ]
            for key in ["device_path", "path"] {
                for path in attempts {
                    let args: JSONObject = [
                        "instance": .object(instance), "connection_info": volume(data: [key: .string(path)]),
                        "mountpoint": "/dev/sdb",
                    ]
                    let failure = try await driver.failure("attach_volume", args)
                    #expect(failure?.className == "InvalidInput", "\(key) = \(path.debugDescription)")
                }
                // At the start too.
                let boot: JSONObject = [
                    "instance": .object(TestDriver.instance()),
                    "block_device_info": [
                        "block_device_mapping": [["connection_info": volume(data: [key: "/etc/passwd"])]]
                    ],
                ]
                #expect(try await driver.failure("spawn", boot)?.className == "InvalidInput")
            }
            let good: JSONObject = [
                "instance": .object(instance),
                "connection_info": volume(data: ["device_path": .string(places + "/good")]),
                "mountpoint": "/dev/sdb",
            ]
            #expect(try await driver.failure("attach_volume", good) == nil)
        }
    }

    @Test func countsAndSizesAreBounded() async throws {
        try await TestDriver.with { driver in
            let vifs = (0..<257).map { interface(["id": .string("i\($0)")]) }
            let mappings = (0..<257).map { ["connection_info": volume(["serial": .string("v\($0)")])] as JSONValue }
            let members = (0..<257).map { ("k\($0)", JSONValue.int(1)) }
            let many = (0..<1025).map { ("k\($0)", JSONValue.string("v")) }
            let cases: [(name: String, args: JSONObject)] = [
                ("interfaces", ["network_info": .array(vifs)]),
                ("volumes", ["block_device_info": ["block_device_mapping": .array(mappings)]]),
                ("ephemerals", ["block_device_info": ["ephemerals": .array((0..<257).map { _ in ["size": 1] })]]),
                (
                    "connection data",
                    [
                        "block_device_info": [
                            "block_device_mapping": [["connection_info": volume(data: JSONObject(members))]]
                        ]
                    ]
                ),
                ("injected files", ["injected_files": .array((0..<257).map { ["/f\($0)", "aGVsbG8="] })]),
                ("a file", ["injected_files": [["/f", .string(String(repeating: "A", count: (1 << 20) + 4))]]]),
                ("a file's path", ["injected_files": [["/f\n", "aGVsbG8="]]]),
                ("a password", ["admin_password": .string(String(repeating: "p", count: 4097))]),
                (
                    "metadata members",
                    ["instance": .object(TestDriver.instance(["metadata": .object(JSONObject(many))]))]
                ),
                (
                    "a metadata key",
                    [
                        "instance": .object(
                            TestDriver.instance(["metadata": [String(repeating: "k", count: 256): "v"]])
                        )
                    ]
                ),
                (
                    "metadata bytes",
                    [
                        "instance": .object(
                            TestDriver.instance(["metadata": ["k": .string(String(repeating: "v", count: 4 << 20))]])
                        )
                    ]
                ),
                ("memory", ["instance": .object(TestDriver.instance(["memory_mb": 16_777_217]))]),
                ("vcpus", ["instance": .object(TestDriver.instance(["vcpus": 4097]))]),
                ("a disk", ["instance": .object(TestDriver.instance(["root_gb": 1_048_577]))]),
                (
                    "a name",
                    ["instance": .object(TestDriver.instance(["name": .string(String(repeating: "n", count: 256))]))]
                ),
            ]
            for (name, changes) in cases {
                var args: JSONObject = ["instance": .object(TestDriver.instance())]
                for member in changes { args[member.key] = member.value }
                #expect(try await driver.failure("spawn", args)?.className == "InvalidInput", "\(name)")
            }
            let instance = try await driver.spawn()
            for (key, value) in [("max_bytes", 0), ("max_bytes", 1 << 20 + 1), ("wait", 31), ("wait", -1)] {
                let args: JSONObject = ["instance": .object(instance), key: .int(Int64(value))]
                #expect(try await driver.failure("console_read", args)?.className == "InvalidInput", "\(key) \(value)")
            }
            for destination in ["", "a b", "a/b", "*", "#", "x\n", String(repeating: "h", count: 256)] {
                let args: JSONObject = ["instance": .object(instance), "dest": .string(destination)]
                #expect(try await driver.failure("live_migration", args)?.className == "InvalidInput", "\(destination)")
            }
        }
    }
}
