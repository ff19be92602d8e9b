import DaemonBench
import Foundation
import Glibc
import OsloMessaging
import Support
import TestSupport
import Testing

/// Machines that die, hang, or are not let live.
@Suite(.enabled(if: GuestBench.isPossible, Comment(rawValue: GuestBench.missing)), .timeLimit(.minutes(5)))
struct TroubleTests {
    @Test func aMachineWhoseProcessIsKilledHasCrashedAndStartsAgain() async throws {
        try await GuestBench.run { guests in
            let instance = TestInstance("victim")
            _ = try await guests.spawn(instance)
            try await guests.awaitConsole(instance, "ready")
            let process = try #require(try guests.qemu(instance))
            #expect(kill(process, SIGKILL) == 0)
            try await guests.awaitState(instance, "error")
            try await guests.perform("power_on", instance)
            try await guests.awaitConsole(instance, "ready", times: 2)
            #expect(!FileManager.default.fileExists(atPath: "/proc/\(process)"), "a zombie is left")
        }
    }

    @Test func aHungMachineHoldsUpNobodyElse() async throws {
        let settings = GuestBench.settings(options: ["qemu": ["command_timeout": "2"]])
        try await GuestBench.run(settings) { guests in
            let hung = TestInstance("hung")
            let other = TestInstance("other")
            for instance in [hung, other] {
                _ = try await guests.spawn(instance)
                try await guests.awaitConsole(instance, "ready")
            }
            let process = try #require(try guests.qemu(hung))
            #expect(kill(process, SIGSTOP) == 0)
            #expect(try await guests.failure("pause", hung) != nil)
            try await guests.perform("pause", other)
            try await guests.perform("unpause", other)
            #expect(kill(process, SIGCONT) == 0)
            try await eventually(timeout: .seconds(60), "obedience again") {
                try await guests.failure("pause", hung) == nil
            }
            #expect(kill(process, SIGSTOP) == 0)
            // Even a machine that hears nothing can be removed.
            try await guests.perform("destroy", hung)
            #expect(try guests.qemu(hung) == nil)
        }
    }

    @Test func twentyMachinesLeaveNoProcessNoDescriptorAndNoFile() async throws {
        try await GuestBench.run { guests in
            let warm = TestInstance("warm")
            _ = try await guests.spawn(warm)
            try await guests.perform("destroy", warm)
            let before = try guests.bench.process().descriptors
            for _ in 1...5 {
                try await withThrowingTaskGroup(of: Void.self) { group in
                    for number in 1...4 {
                        group.addTask {
                            let instance = TestInstance("many-\(number)")
                            _ = try await guests.spawn(instance)
                            try await guests.awaitConsole(instance, "ready")
                            try await guests.perform("destroy", instance)
                            #expect(try guests.qemu(instance) == nil)
                        }
                    }
                    try await group.waitForAll()
                }
            }
            try await eventually("as many descriptors as before") {
                try guests.bench.process().descriptors <= before + 1
            }
            let instances = guests.bench.daemon.statePath + "/host-a/instances"
            #expect(try FileManager.default.contentsOfDirectory(atPath: instances).isEmpty)
            let children = try await runCommand(
                "sh",
                ["-c", "ps -o stat= --ppid \(guests.bench.daemon.processIdentifier ?? 0) | grep -c Z || true"]
            )
            #expect(children == "0")
        }
    }

    @Test(.enabled(if: getuid() == 0, "another user needs root"))
    func anImageThatQEMUMayNotReadIsNamedAndNothingIsLeft() async throws {
        let settings = GuestBench.settings(options: ["qemu": ["user": "nobody"]])
        try await GuestBench.run(settings, prepare: { try Self.openWay($0) }) { guests in
            let fine = TestInstance("fine")
            try await guests.spawn(fine)
            try await guests.awaitConsole(fine, "ready")
            let process = try #require(try guests.qemu(fine))
            let status = try String(contentsOfFile: "/proc/\(process)/status", encoding: .utf8)
            #expect(!status.contains("Uid:\t0"))
            #expect(status.contains("NoNewPrivs:\t1"))
            #expect(status.contains("Seccomp:\t2"))

            let secret = guests.imagesDirectory + "/secret.raw"
            try TickGuest.writeDisk(secret)
            #expect(chown(secret, 1, 1) == 0 && chmod(secret, 0o600) == 0)
            let refused = TestInstance("refused")
            let failure = await #expect(throws: RemoteFailure.self) {
                try await guests.spawn(refused, ["image_ref": "secret"])
            }
            #expect(failure?.message.contains("secret.raw") == true, "\(failure?.message ?? "")")
            #expect(try guests.qemu(refused) == nil)
            #expect(try await guests.failure("get_info", refused) == "InstanceNotFound")
            // One of the worker's own is shared with QEMU's group.
            #expect(chown(secret, 0, 0) == 0)
            try await guests.spawn(refused, ["image_ref": "secret"])
            try await guests.awaitConsole(refused, "ready")
        }
    }

    @Test(.enabled(if: getuid() == 0, "a file system of its own needs root"))
    func aFullDiskRefusesASpawnWithoutATraceAndTheNextOneSucceeds() async throws {
        try await withTemporaryDirectory { directory in
            _ = try await runCommand("mount", ["-t", "tmpfs", "-o", "size=24m", "tmpfs", directory])
            do {
                try await spawnOnAFullDisk(directory)
            } catch {
                _ = try? await runCommand("umount", ["-l", directory])
                throw error
            }
            _ = try await runCommand("umount", ["-l", directory])
        }
    }

    private func spawnOnAFullDisk(_ directory: String) async throws {
        let settings = GuestBench.settings(options: [
            "DEFAULT": ["state_path": directory + "/state", "use_cow_images": "false"]
        ])
        let images = directory + "/state/images"
        let prepare: @Sendable (String) async throws -> Void = { _ in
            try FileManager.default.createDirectory(atPath: images, withIntermediateDirectories: true)
            // All of it is content, so that a copy needs the room.
            try TickGuest.writeDisk(images + "/large.raw")
            let file = try FileHandle(forWritingTo: URL(filePath: images + "/large.raw"))
            try file.seekToEnd()
            try file.write(contentsOf: Data(repeating: 0x5A, count: 13 << 20))
            try file.close()
        }
        try await GuestBench.run(settings, prepare: prepare) { guests in
            let first = TestInstance("first")
            #expect(try await guests.bench.failure("ping") == nil)
            _ = try await guests.bench.failure("spawn", ["instance": Self.description(first)])
            let instances = directory + "/state/host-a/instances"
            let failure = try await guests.bench.failure("spawn", ["instance": Self.description(TestInstance("no"))])
            #expect(failure != nil)
            #expect(try FileManager.default.contentsOfDirectory(atPath: instances).count <= 1)
            if try await guests.failure("get_info", first) == nil { try await guests.perform("destroy", first) }
            try FileManager.default.removeItem(atPath: images + "/large.raw")
            try TickGuest.writeDisk(images + "/large.raw")
            let second = TestInstance("second")
            try await guests.spawn(second, ["image_ref": "large"])
            try await eventually("the boot") {
                let path = instances + "/" + second.uuid + "/console.log"
                return (try? String(contentsOfFile: path, encoding: .utf8))?.contains("ready") == true
            }
        }
    }

    private static func description(_ instance: TestInstance) -> JSONValue {
        [
            "uuid": .string(instance.uuid), "name": .string(instance.name), "memory_mb": 16, "vcpus": 1, "root_gb": 0,
            "image_ref": "large",
        ]
    }

    /// Lets QEMU's user get to the machines' files.
    private static func openWay(_ directory: String) throws {
        for path in [directory, directory + "/state"] {
            try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
            #expect(chmod(path, 0o711) == 0)
        }
    }
}
