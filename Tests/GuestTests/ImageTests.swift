import DaemonBench
import Foundation
import Support
import TestSupport
import Testing

/// Disks that machines boot from.
@Suite(.enabled(if: GuestBench.isPossible, Comment(rawValue: GuestBench.missing)), .timeLimit(.minutes(5)))
struct ImageTests {
    private static let gigabyte: Int64 = 1 << 30

    @Test(arguments: [("qcow2", "qcow2"), ("vpc", "vhd"), ("vhdx", "vhdx")], [true, false])
    func imagesOfAllFormatsBoot(_ format: (name: String, ending: String), layered: Bool) async throws {
        let settings = GuestBench.settings(options: ["DEFAULT": ["use_cow_images": "\(layered)"]])
        try await GuestBench.run(settings) { guests in
            let directory = guests.imagesDirectory
            let target = "\(directory)/other.\(format.ending)"
            let options = format.name == "vpc" ? ["-o", "force_size=on"] : []
            let convert = ["convert", "-f", "raw", "-O", format.name] + options
            _ = try await runCommand("qemu-img", convert + [directory + "/tick.raw", target])
            let sum = try await runCommand("sha256sum", [target])
            let instance = TestInstance("image")
            _ = try await guests.spawn(instance, ["image_ref": "other"])
            try await guests.awaitConsole(instance, "ready")
            // The guest writes to its own disk and never to the image.
            try await guests.type("w20\n", instance)
            try await guests.awaitConsole(instance, "sector written")
            try await guests.type("v20\n", instance)
            try await guests.awaitConsole(instance, "sector same")
            #expect(try await runCommand("sha256sum", [target]) == sum)
            try await guests.perform("destroy", instance)
        }
    }

    @Test func theRootDiskIsAsLargeAsTheFlavorSaysAndNeverSmallerThanItsImage() async throws {
        try await GuestBench.run { guests in
            let large = TestInstance("large")
            _ = try await guests.spawn(large, ["root_gb": 1])
            try await guests.awaitConsole(large, "ready")
            let directory = guests.bench.daemon.statePath + "/host-a/instances/" + large.uuid
            let disk = try #require(
                try FileManager.default.contentsOfDirectory(atPath: directory).first { $0.hasPrefix("root.") }
            )
            let text = try await runCommand("qemu-img", ["info", "-U", "--output=json", "\(directory)/\(disk)"])
            let info = try JSONSerialization.jsonObject(with: Data(text.utf8)) as? [String: Any]
            #expect(info?["virtual-size"] as? Int64 == Self.gigabyte)
            let image = guests.imagesDirectory + "/huge.raw"
            _ = try await runCommand("truncate", ["-s", "2G", image])
            let small = TestInstance("small")
            let arguments: JSONValue = [
                "uuid": .string(small.uuid), "name": "small", "memory_mb": 16, "vcpus": 1, "root_gb": 1,
                "image_ref": "huge",
            ]
            let failure = try await guests.bench.failure("spawn", ["instance": arguments])
            #expect(failure == "FlavorDiskSmallerThanImage")
            let left = guests.bench.daemon.statePath + "/host-a/instances/" + small.uuid
            #expect(!FileManager.default.fileExists(atPath: left))
        }
    }

    @Test func anImageThatIsNotThereOrThatReadsOtherFilesIsRefused() async throws {
        try await GuestBench.run { guests in
            let directory = guests.imagesDirectory
            _ = try await runCommand(
                "qemu-img",
                ["create", "-q", "-f", "qcow2", "-b", "/etc/passwd", "-F", "raw", directory + "/thief.qcow2"]
            )
            for (image, expected) in [("none", "ImageNotFound"), ("thief", "ImageUnacceptable")] {
                let instance = TestInstance("refused")
                let arguments: JSONValue = [
                    "uuid": .string(instance.uuid), "name": "refused", "memory_mb": 16, "vcpus": 1, "root_gb": 0,
                    "image_ref": .string(image),
                ]
                #expect(try await guests.bench.failure("spawn", ["instance": arguments]) == expected)
                #expect(try guests.qemu(instance) == nil)
                #expect(try await guests.failure("get_info", instance) == "InstanceNotFound")
            }
        }
    }

    @Test func aSnapshotIsAnImageToBootFrom() async throws {
        try await GuestBench.run { guests in
            let first = TestInstance("first")
            _ = try await guests.spawn(first)
            try await guests.awaitConsole(first, "ready")
            try await guests.type("w20\n", first)
            try await guests.awaitConsole(first, "sector written")
            try await guests.perform("snapshot", first, ["image_id": "copy"])
            #expect(try await guests.bench.state(first) == "running")
            let second = TestInstance("second")
            _ = try await guests.spawn(second, ["image_ref": "copy"])
            try await guests.awaitConsole(second, "ready")
            try await guests.type("v20\n", second)
            try await guests.awaitConsole(second, "sector same")
        }
    }
}
