import DaemonBench
import Foundation
import Glibc
import Subprocess
import Support
import Synchronization
import SystemPackage
import TestSupport
import Testing

/// What systemd sees of the daemon.
@Suite(.timeLimit(.minutes(5)))
struct ServiceManagerTests {
    /// Takes the place of systemd: a socket for notifications, which are kept in order.
    private final class Manager: Sendable {
        let path: String
        private let descriptor: Int32
        private let state = Mutex<(messages: [String], last: ContinuousClock.Instant)>(([], .now))

        init(_ directory: String) throws {
            path = directory + "/notify"
            descriptor = socket(AF_UNIX, Int32(SOCK_DGRAM.rawValue | SOCK_NONBLOCK.rawValue), 0)
            var address = sockaddr_un()
            address.sun_family = sa_family_t(AF_UNIX)
            let name = path
            withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: name.utf8) }
            let bound = withUnsafePointer(to: &address) { pointer in
                pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                    bind(descriptor, $0, socklen_t(MemoryLayout<sockaddr_un>.size))
                }
            }
            guard bound == 0 else { throw Unexpected("no socket: error \(errno)") }
        }

        deinit { close(descriptor) }

        /// Everything that has come so far.
        var messages: [String] {
            state.withLock { state in
                var bytes = [UInt8](repeating: 0, count: 4096)
                while true {
                    let count = recv(descriptor, &bytes, bytes.count, 0)
                    guard count >= 0 else { return state.messages }
                    state.messages.append(String(decoding: bytes.prefix(count), as: UTF8.self))
                    state.last = .now
                }
            }
        }

        func count(_ message: String) -> Int { messages.count { $0.hasPrefix(message) } }

        /// How long nothing has come.
        var silence: Duration {
            _ = messages
            return state.withLock { ContinuousClock.now - $0.last }
        }
    }

    private static let watched: [String: String?] = ["WATCHDOG_USEC": "400000", "WATCHDOG_PID": nil]

    @Test(.enabled(if: TestBroker.isAvailable, Comment(rawValue: TestBroker.missing)))
    func readinessSignsOfLifeUpgradeAndEndAreTold() async throws {
        try await withTemporaryDirectory { directory in
            let manager = try Manager(directory)
            var settings = DaemonSettings(hosts: ["host-a"])
            settings.environment = Self.watched.merging(["NOTIFY_SOCKET": manager.path]) { $1 }
            try await DaemonProcess.run(settings) { daemon in
                try await eventually("READY") { manager.count("READY=1\nSTATUS=serving 1 hosts") == 1 }
                try await eventually("signs of life") { manager.count("WATCHDOG=1") >= 3 }
                try daemon.signal(.userDefinedTwo)
                try await eventually("READY again") { manager.count("READY=1") == 2 }
                let soFar = manager.count("WATCHDOG=1")
                try await eventually("signs of life of the new program") { manager.count("WATCHDOG=1") > soFar + 2 }
                #expect(manager.count("RELOADING=1") == 1)
                #expect(manager.count("STOPPING=1") == 0)
                try await daemon.terminate()
                #expect(manager.count("STOPPING=1") == 1)
            }
        }
    }

    @Test(.enabled(if: TestBroker.isAvailable, Comment(rawValue: TestBroker.missing)))
    func aHangingThreadEndsTheSignsOfLife() async throws {
        try await withTemporaryDirectory { directory in
            let manager = try Manager(directory)
            var settings = DaemonSettings(hosts: ["host-a"])
            settings.environment = Self.watched.merging(["NOTIFY_SOCKET": manager.path]) { $1 }
            try await DaemonProcess.run(settings) { daemon in
                try await eventually("signs of life") { manager.count("WATCHDOG=1") >= 3 }
                let id = try #require(daemon.processIdentifier)
                try await LineProcess.run(Checkout.python, ["-c", Self.freeze, "\(id)", "amqp-io"]) { debugger in
                    #expect(try await debugger.readLine() == "frozen")
                    // Ten times what lies between two of them; systemd would have ended the process by now.
                    try await eventually("silence") { manager.silence > .seconds(2) }
                }
                // The debugger has let go.
                let soFar = manager.count("WATCHDOG=1")
                try await eventually("signs of life again") { manager.count("WATCHDOG=1") > soFar + 2 }
            }
        }
    }

    /// Holds one thread of a process until standard input ends.
    private static let freeze = """
        import ctypes, os, sys
        process, name = sys.argv[1:]
        libc = ctypes.CDLL(None, use_errno=True)
        for thread in os.listdir(f"/proc/{process}/task"):
            if open(f"/proc/{process}/task/{thread}/comm").read().strip() == name:
                assert libc.ptrace(0x4206, int(thread), None, None) == 0, os.strerror(ctypes.get_errno())
                assert libc.ptrace(0x4207, int(thread), None, None) == 0, os.strerror(ctypes.get_errno())
                print("frozen", flush=True)
        sys.stdin.read()
        """

    @Test func exitStatusesAreThoseOfTheManual() async throws {
        try await withTemporaryDirectory { directory in
            let good = directory + "/good.conf"
            let bad = directory + "/bad.conf"
            try Data("[DEFAULT]\nstate_path = \(directory)/state\n".utf8).write(to: URL(filePath: good))
            try Data("[limits]\nmax_queue = none\n".utf8).write(to: URL(filePath: bad))
            let cases: [(arguments: [String], status: Int32)] = [
                (["--config-file", good, "--check-config"], 0), (["--version"], 0), (["--config-file", bad], 1),
                (["--config-file", bad, "--check-config"], 1), (["--no-such-option"], 64), (["unasked"], 64),
            ]
            for (arguments, status) in cases {
                let result = try await Subprocess.run(
                    .path(FilePath(Checkout.program("vmopsd"))),
                    arguments: Arguments(arguments),
                    output: .discarded,
                    error: .string(limit: 1 << 16)
                )
                #expect(result.terminationStatus == .exited(status), "\(arguments): \(result.standardError)")
                #expect(result.standardError.isEmpty == (status == 0), "\(arguments)")
            }
            let manual = try String(contentsOf: Checkout.root.appending(path: "docs/operations.md"), encoding: .utf8)
            #expect(manual.contains("Exit status: 0 ") && manual.contains(", 1 when ") && manual.contains(", 64 for "))
        }
    }
}
