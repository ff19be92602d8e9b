import Foundation
import Glibc
import HostBackend
import Support
import TestSupport
import Testing

@testable import Console

/// What capture costs, counted and not timed.
@Suite(.timeLimit(.minutes(5))) struct ConsoleCostTests {
    @Test func bytesThatComeOneByOneAreMovedTogether() async throws {
        let directory = try TestDirectory()
        let engine = try ConsoleEngine()
        let moves = Counter()
        let log = ConsoleLog(
            directory: directory.path,
            settings: .quick(segmentBytes: 1_000_000),
            engine: engine,
            metrics: ConsoleMetrics(host: "host-a")
        ) { step throws(SystemCallError) in
            if step == .write { moves.count() }
        }
        let guest = try GuestPipe()
        let reader = DescriptorReader(guest.descriptor, into: log, reactor: engine.reactor)
        await withTaskGroup(of: Void.self) { group in
            group.addTask { _ = await reader.run() }
            try? await onThread {
                for _ in 0..<100_000 { guest.print([0x2E]) }
                guest.end()
            }
        }
        await log.finish()
        #expect(log.buffer.counters.bytesIn == 100_000)
        #expect(moves.value < 1000, "\(moves.value) moves")
    }

    @Test func pipesTakeNoMemory() async throws {
        let directory = try TestDirectory()
        let engine = try ConsoleEngine()
        let uuid = try InstanceUUID.random()
        let guest = try GuestPipe()
        try await withService(engine: engine) { service in
            await service.ensure(uuid, directory: directory.path, mark: .boot) { try guest.open() }
            try await onThread { guest.print([UInt8](repeating: 0x2E, count: 500_000)) }
            _ = try await service.waitForOutput(
                uuid,
                directory: directory.path,
                beyond: 499_999,
                limit: .seconds(30)
            )
            #expect(engine.blocks.used == 0)
            guest.end()
        }
    }

    /// How often the threads of consoles in another process have gone to sleep.
    private static func sleeps(of process: Int32) throws -> [String] {
        try FileManager.default.contentsOfDirectory(atPath: "/proc/\(process)/task").sorted().compactMap { thread in
            let status = try String(contentsOfFile: "/proc/\(process)/task/\(thread)/status", encoding: .utf8)
            guard status.contains("vmops-console") || status.contains("vmops-log-") else { return nil }
            return status.split(separator: "\n").first { $0.hasPrefix("voluntary_ctxt_switches") }.map(String.init)
        }
    }

    @Test func anIdleConsoleWakesNobody() async throws {
        let directory = try TestDirectory()
        mkdir(directory.path + "/0", 0o700)
        let fifo = directory.path + "/fifo"
        try #require(mkfifo(fifo, 0o600) == 0)
        let guest = open(fifo, O_RDWR | O_CLOEXEC)
        defer { close(guest) }
        let worker = Process()
        worker.executableURL = URL(filePath: Checkout.program("vmops-bench"))
        worker.arguments = ["console", "--fifo", fifo, "--directory", directory.path]
        worker.standardOutput = FileHandle.nullDevice
        try worker.run()
        defer {
            kill(worker.processIdentifier, SIGKILL)
            worker.waitUntilExit()
        }
        #expect(write(guest, "idle\n", 5) == 5)
        try await eventually { directory.size("0/console.log") == 5 }
        // Sooner or later nothing happens for as long as this, whatever else the machine does.
        try await eventually {
            let before = try Self.sleeps(of: worker.processIdentifier)
            try await Task.sleep(for: .milliseconds(500))
            return try before.count == 3 && Self.sleeps(of: worker.processIdentifier) == before
        }
    }
}
