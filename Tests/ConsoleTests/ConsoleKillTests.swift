import CSystemShims
import Foundation
import Support
import Synchronization
import TestSupport
import Testing

@testable import Console

/// A worker that is killed while it captures an endpoint that outlives it.
@Suite(.timeLimit(.minutes(15))) struct ConsoleKillTests {
    /// Lines of 16 bytes, so that every byte of the stream is known from its offset.
    private static func stream(_ range: Range<Int64>) -> [UInt8] {
        let lines = (range.lowerBound / 16)...(range.upperBound / 16)
        let text = lines.flatMap { line in
            let digits = String(line)
            return Array((String(repeating: "0", count: 15 - digits.utf8.count) + digits + "\n").utf8)
        }
        let skipped = Int(range.lowerBound % 16)
        return Array(text[skipped..<(skipped + range.count)])
    }

    /// A guest: keeps its FIFO open on both sides, as QEMU does, and prints as fast as it can until told to stop.
    private final class Guest: Sendable {
        let path: String
        let printed = Atomic<Int>(0)
        let mayEnd = Atomic<Bool>(false)
        let descriptor: Int32

        init(_ path: String) throws {
            self.path = path
            guard mkfifo(path, 0o600) == 0 else { throw SystemCallError("mkfifo", errno) }
            descriptor = open(path, O_RDWR | O_CLOEXEC)
            guard descriptor >= 0 else { throw SystemCallError("open", errno) }
        }

        func run() {
            var random = Seeded(23)
            while !mayEnd.load(ordering: .relaxed) {
                let start = Int64(printed.load(ordering: .relaxed))
                let bytes = stream(start..<(start + Int64.random(in: 1...3000, using: &random)))
                var done = 0
                while done < bytes.count {
                    let count = bytes[done...].withUnsafeBytes { write(descriptor, $0.baseAddress, $0.count) }
                    if count < 0 { return }
                    done += count
                    printed.add(count, ordering: .relaxed)
                }
            }
        }

        /// Bytes that nobody has taken.
        var waiting: Int {
            var count: Int32 = 0
            return ioctl(descriptor, UInt(FIONREAD), &count) == 0 ? Int(count) : 0
        }
    }

    private static func worker(_ guest: Guest, _ directory: TestDirectory) throws -> Process {
        let worker = Process()
        worker.executableURL = URL(filePath: Checkout.program("vmops-bench"))
        worker.arguments = ["console", "--fifo", guest.path, "--directory", directory.path]
        worker.arguments? += ["--segment-bytes", "20000", "--archives", "3"]
        worker.standardOutput = FileHandle.nullDevice
        try worker.run()
        return worker
    }

    @Test func aFlightOfKilledWorkersLosesNothingAndRepeatsNothing() async throws {
        let directory = try TestDirectory()
        mkdir(directory.path + "/0", 0o700)
        let log = directory.path + "/0"
        let guest = try Guest(directory.path + "/fifo")
        let over = ConsoleSignal()
        try ReactorThread.start(name: "guest") {
            guest.run()
            over.set()
        }
        let limits = SegmentLimits(segmentBytes: 20_000, archives: 3)
        var random = Seeded(5)
        var end: Int64 = 0
        for round in 0..<40 {
            let worker = try Self.worker(guest, directory)
            // It captures; then the instant is a matter of luck.
            let before = end
            try await eventually {
                var store = SegmentStore(directory: log, limits: limits)
                return (try? store.range().upperBound).map { $0 > before } ?? false
            }
            try await Task.sleep(for: .microseconds(Int.random(in: 0...20_000, using: &random)))
            kill(worker.processIdentifier, SIGKILL)
            worker.waitUntilExit()
            var store = SegmentStore(directory: log, limits: limits)
            let chunk = try store.read(from: 0, maxBytes: .max)
            #expect(chunk.data == Self.stream(chunk.offset..<chunk.endOffset), "round \(round)")
            #expect(chunk.data.count >= 3 * (20_000 - 80) || chunk.offset == 0)
            end = chunk.endOffset
        }
        guest.mayEnd.store(true, ordering: .relaxed)
        let worker = try Self.worker(guest, directory)
        await over.wait()
        try await eventually { guest.waiting == 0 }
        kill(worker.processIdentifier, SIGKILL)
        worker.waitUntilExit()
        var store = SegmentStore(directory: log, limits: limits)
        let chunk = try store.read(from: 0, maxBytes: .max)
        #expect(chunk.endOffset == Int64(guest.printed.load(ordering: .relaxed)))
        #expect(chunk.data == Self.stream(chunk.offset..<chunk.endOffset))
        close(guest.descriptor)
    }
}
