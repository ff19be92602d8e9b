import DaemonBench
import Foundation
import Glibc
import Subprocess
import Support
import SystemPackage
import TestSupport
import Testing

/// Who may read and write what is kept on disk.
@Suite(.timeLimit(.minutes(5)))
struct StatePathTests {
    @Test(.enabled(if: TestBroker.isAvailable, Comment(rawValue: TestBroker.missing)))
    func everythingIsForTheOwnerAloneWhateverWasDone() async throws {
        let settings = DaemonSettings(options: [
            "simulated": ["lines_per_second": "100"], "console": ["segment_bytes": "4096"],
            "hyperv": ["config_drive_inject_password": "true"],
        ])
        try await Bench.run(settings) { bench in
            let instance = TestInstance()
            var description = instance.description.objectValue ?? [:]
            description["config_drive"] = true
            try await bench.call(
                "spawn",
                [
                    "instance": .object(description), "admin_password": "secret",
                    "injected_files": [["/etc/motd", "aGVsbG8="]],
                ]
            )
            let it = instance.reference
            for method in ["pause", "unpause", "suspend", "resume"] { try await bench.call(method, it) }
            try await bench.call(
                "reboot",
                ["instance": instance.reference["instance"] ?? .null, "reboot_type": "HARD"]
            )
            try await bench.call("snapshot", ["instance": it["instance"] ?? .null, "image_id": "snap"])
            try await bench.call("live_migration", ["instance": it["instance"] ?? .null, "dest": "host-b"])
            try await bench.spawn(TestInstance("other", on: "host-b"))
            let ended = TestInstance("ended")
            try await bench.spawn(ended)
            try await bench.call("destroy", ended.reference)
            let seen = try Self.walk(bench.daemon.statePath)
            #expect(seen > 20)
            var status = stat()
            #expect(lstat(bench.daemon.adminSocket, &status) == 0)
            #expect(status.st_mode & 0o077 == 0, "the admin socket has mode \(String(status.st_mode, radix: 8))")
        }
    }

    /// Checks everything below a directory and counts it.
    private static func walk(_ path: String) throws -> Int {
        var status = stat()
        guard lstat(path, &status) == 0 else { return 0 }
        let mode = String(status.st_mode, radix: 8)
        #expect(status.st_mode & 0o077 == 0, "\(path) has mode \(mode)")
        #expect(status.st_uid == geteuid(), "\(path) belongs to \(status.st_uid)")
        guard status.st_mode & S_IFMT == S_IFDIR else { return 1 }
        let names = try FileManager.default.contentsOfDirectory(atPath: path)
        return try names.reduce(1) { try $0 + walk("\(path)/\($1)") }
    }

    /// What `vmopsd` says of a state path.
    private func refusal(_ statePath: String, _ directory: String) async throws -> (status: String, error: String) {
        let file = directory + "/vmops.conf"
        try Data("[DEFAULT]\nstate_path = \(statePath)\nhosts = host-a\n".utf8).write(to: URL(filePath: file))
        let result = try await Subprocess.run(
            .path(FilePath(Checkout.program("vmopsd"))),
            arguments: ["--config-file", file],
            output: .discarded,
            error: .string(limit: 1 << 16)
        )
        return ("\(result.terminationStatus)", result.standardError)
    }

    @Test func aPathThatEverybodyMayWriteToIsRefused() async throws {
        try await withTemporaryDirectory { directory in
            let open = directory + "/open"
            for (place, statePath) in [(open, open), (open, open + "/below/state")] {
                try makeDirectories(statePath)
                chmod(place, 0o777)
                let (status, error) = try await refusal(statePath, directory)
                #expect(status == "exited(1)")
                #expect(error.contains("everybody may write to \(place)"), "\(error)")
                #expect(error.contains("chmod o-w \(place)"))
                #expect(access(statePath + "/host-a", F_OK) != 0)
            }
        }
    }

    @Test(.enabled(if: getuid() == 0, "needs root"))
    func aPathOfAnotherUserIsRefused() async throws {
        try await withTemporaryDirectory { directory in
            let statePath = directory + "/state"
            try makeDirectories(statePath)
            chown(statePath, 65533, 65533)
            let (status, error) = try await refusal(statePath, directory)
            #expect(status == "exited(1)")
            #expect(error.contains("belongs to user 65533"), "\(error)")
        }
    }

    @Test func aHostIsServedByOneProcessAtATime() async throws {
        let settings = DaemonSettings(url: "rabbit://guest:guest@127.0.0.1:1/")
        try await DaemonProcess.run(settings, waitsForService: false) { daemon in
            try await daemon.waitForLog("cannot connect")
            try await withTemporaryDirectory { directory in
                let (status, error) = try await refusal(daemon.statePath, directory)
                #expect(status == "exited(1)")
                #expect(error.contains("host-a is in use by another process"), "\(error)")
            }
            // Nothing of the lock outlives the process, however it ended.
            try await daemon.kill()
            let lock = open(daemon.statePath + "/host-a/lock", O_RDWR | O_CLOEXEC)
            defer { close(lock) }
            try await eventually("the lock to be free") { flock(lock, LOCK_EX | LOCK_NB) == 0 }
        }
    }

    @Test(.enabled(if: getuid() == 0 && access("/usr/bin/setpriv", X_OK) == 0, "needs root and setpriv"))
    func theMemoryIsForNobodyElse() async throws {
        for allowed in [false, true] {
            var settings = DaemonSettings(url: "rabbit://guest:guest@127.0.0.1:1/")
            settings.options["limits"] = ["core_dumps": "\(allowed)"]
            settings.command = [
                "/usr/bin/setpriv", "--reuid=65533", "--regid=65533", "--clear-groups", Checkout.program("vmopsd"),
            ]
            try await DaemonProcess.run(
                settings,
                waitsForService: false,
                prepare: { directory in chown(directory, 65533, 65533) }
            ) { daemon in
                try await daemon.waitForLog("cannot connect")
                let id = try #require(daemon.processIdentifier)
                // The kernel gives what it keeps of such a process to root.
                var status = stat()
                #expect(stat("/proc/\(id)/mem", &status) == 0)
                #expect(status.st_uid == (allowed ? 65533 : 0))
                let limits = try String(contentsOfFile: "/proc/\(id)/limits", encoding: .utf8)
                let cores = limits.split(separator: "\n").first { $0.hasPrefix("Max core file size") } ?? ""
                #expect(cores.split(separator: " ").contains("0") == !allowed || getCoreLimit() == 0, "\(cores)")
            }
        }
    }

    private func getCoreLimit() -> rlim_t {
        var limit = rlimit()
        getrlimit(__rlimit_resource_t(RLIMIT_CORE.rawValue), &limit)
        return limit.rlim_cur
    }
}
