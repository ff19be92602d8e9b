import Glibc
import HostBackend
import Support
import Synchronization
import Testing

@testable import Console

@Suite(.timeLimit(.minutes(15))) struct ConsoleMovingTests {
    private func fill(_ directory: TestDirectory, _ bytes: [UInt8], _ limits: SegmentLimits) throws {
        var store = SegmentStore(directory: directory.path, limits: limits)
        if !bytes.isEmpty { try store.append(bytes, ReactorBlockPool(budget: .max)) }
        try store.mark(.boot, time: 5)
    }

    @Test(arguments: [0, 90, 190, 290, 5000])
    func movesTheWholeLogWithMarksAndOffsets(count: Int) async throws {
        let source = try TestDirectory()
        let destination = try TestDirectory()
        let uuid = try InstanceUUID.random()
        var random = Seeded(4)
        let bytes = random.bytes(count)
        try fill(source, bytes, SegmentLimits(segmentBytes: 100, archives: 3))
        let before = try content(source)
        try await withService(.quick(segmentBytes: 1000, archives: 2)) { service in
            let target = service.destination(uuid, directory: destination.path)
            try await service.copyAhead(uuid, directory: source.path, transfer: "t1", to: target)
            try await service.move(uuid, directory: source.path, transfer: "t1", to: target)
            let after = try content(destination)
            #expect(after == before)
            #expect(try await service.marks(uuid, directory: destination.path).map(\.offset) == [Int64(count)])
            #expect(source.names.isEmpty)
            #expect(!destination.names.contains(".incoming-console"))
        }
    }

    @Test func whatTheDestinationCapturedComesBehind() async throws {
        let source = try TestDirectory()
        let destination = try TestDirectory()
        let uuid = try InstanceUUID.random()
        let limits = SegmentLimits(segmentBytes: 100, archives: 3)
        var random = Seeded(6)
        let bytes = random.text(1000)
        try fill(source, bytes, limits)
        let guest = try GuestPipe()
        try await withService(.quick(segmentBytes: 100, archives: 3)) { service in
            await service.ensure(uuid, directory: destination.path, mark: .migration) { try guest.open() }
            guest.print("first\n")
            _ = try await service.waitForOutput(uuid, directory: destination.path, beyond: 5, limit: .seconds(30))
            let target = service.destination(uuid, directory: destination.path)
            let other = try InstanceUUID.random()
            try await service.move(other, directory: source.path, transfer: "t2", to: target)
            guest.print("second\n")
            guest.end()
            await service.close(uuid, mark: .stop)
            let whole = bytes + Array("first\nsecond\n".utf8)
            let after = try content(destination)
            #expect(after.endOffset == Int64(whole.count))
            #expect(after.data.elementsEqual(whole.suffix(after.data.count)))
            #expect(after.data.count > 200)
            let marks = try await service.marks(uuid, directory: destination.path)
            #expect(marks.map(\.kind) == [.boot, .migration, .stop])
            #expect(marks.map(\.offset) == [1000, 1000, 1013])
        }
    }

    @Test func anInterruptedMoveIsRepeatedWithoutLossOrDuplicate() async throws {
        let uuid = try InstanceUUID.random()
        let limits = SegmentLimits(segmentBytes: 500_000, archives: 3)
        var random = Seeded(8)
        let bytes = random.bytes(600_000)
        for failAt in 0..<12 {
            let source = try TestDirectory()
            let destination = try TestDirectory()
            try fill(source, bytes, limits)
            try fill(destination, Array("own".utf8), limits)
            try await withService(.quick(segmentBytes: 500_000, archives: 3)) { service in
                let target = FlakyDestination(service.destination(uuid, directory: destination.path), failAt: failAt)
                var failures = 0
                while true {
                    do {
                        let other = try InstanceUUID.random()
                        try await service.move(other, directory: source.path, transfer: "t3", to: target)
                        break
                    } catch is FlakyDestination.Failure {
                        failures += 1
                        #expect(try content(source).data == bytes)
                    }
                }
                #expect(failures <= 1)
                #expect(try content(destination).data == bytes + Array("own".utf8))
                #expect(source.names.isEmpty)
            }
        }
    }

    @Test func installingSurvivesInterruptionAtEveryStep() throws {
        let limits = SegmentLimits(segmentBytes: 100, archives: 5)
        var random = Seeded(10)
        let bytes = random.text(350)
        let own = Array("own text\n".utf8)
        let chunk = ConsoleTransferChunk(
            data: bytes,
            offset: 40,
            checksum: CRC32.of(bytes),
            firstOffset: 40,
            endOffset: 390
        )
        let seal = ConsoleTransferSeal(firstOffset: 40, endOffset: 390, marks: [])
        var interruption = 0
        var isInterrupted = true
        while isInterrupted {
            let directory = try TestDirectory()
            try fill(directory, own, limits)
            let steps = Counter()
            let last = interruption
            var store = SegmentStore(directory: directory.path, limits: limits) { _ throws(SystemCallError) in
                if steps.count() > last { throw SystemCallError("killed", EINTR) }
            }
            do {
                _ = try store.receive(chunk, of: "t4")
                try store.install("t4", seal)
                isInterrupted = false
            } catch is SystemCallError {}

            // Either the old log or the new one, never a mixture; the repetition leads to the new one.
            let between = try content(directory, limits)
            #expect(between.data == own || between.data == bytes + own, "interruption \(interruption)")
            var next = SegmentStore(directory: directory.path, limits: limits)
            _ = try next.receive(chunk, of: "t4")
            try next.install("t4", seal)
            try next.install("t4", seal)
            let after = try content(directory, limits)
            #expect(after.data == bytes + own, "interruption \(interruption)")
            #expect(after.firstOffset == 40)
            #expect(directory.names.allSatisfy { $0.hasPrefix("console.") })
            interruption += 1
            try #require(interruption < 2000, "never done")
        }
        #expect(interruption > 20)
    }

    @Test func damagedAndMisplacedChunksAreRefused() throws {
        let directory = try TestDirectory()
        var store = SegmentStore(directory: directory.path, limits: SegmentLimits(segmentBytes: 100, archives: 1))
        func chunk(_ offset: Int64, first: Int64 = 0, checksum: UInt32? = nil) -> ConsoleTransferChunk {
            ConsoleTransferChunk(
                data: [1, 2, 3],
                offset: offset,
                checksum: checksum ?? CRC32.of([1, 2, 3]),
                firstOffset: first,
                endOffset: 100
            )
        }
        #expect { _ = try store.receive(chunk(0, checksum: 1), of: "t") } throws: {
            ($0 as? ConsoleError)?.code == .checksum
        }
        #expect(try store.receive(chunk(0), of: "t") == 3)
        #expect(try store.receive(chunk(0), of: "t") == 3)
        #expect(try store.receive(chunk(1), of: "t") == 4)
        #expect { _ = try store.receive(chunk(9), of: "t") } throws: {
            ($0 as? ConsoleError)?.code == .outOfOrder
        }
        #expect(try store.receive(chunk(9, first: 9), of: "t") == 12)
        let seal = ConsoleTransferSeal(firstOffset: 9, endOffset: 20, marks: [])
        #expect { try store.install("t", seal) } throws: { ($0 as? ConsoleError)?.code == .incomplete }
        try store.discardIncoming()
        #expect(directory.names.isEmpty)
    }

    @Test func aMachineThatPrintsWhileItsLogIsCopiedLosesNothing() async throws {
        let source = try TestDirectory()
        let destination = try TestDirectory()
        let uuid = try InstanceUUID.random()
        let other = try InstanceUUID.random()
        let guest = try GuestPipe()
        var settings = ConsoleSettings.quick(segmentBytes: 300_000, archives: 9)
        settings.stallLimit = .seconds(30)
        try await withService(settings) { service in
            await service.ensure(uuid, directory: source.path, mark: .boot) { try guest.open() }
            let target = service.destination(other, directory: destination.path)
            let lines = (0..<100_000).map { "\($0)\n" }.joined()
            try await withThrowingTaskGroup(of: Void.self) { group in
                group.addTask {
                    try await onThread {
                        guest.print(lines)
                        guest.end()
                    }
                }
                for _ in 0..<5 {
                    try await service.copyAhead(uuid, directory: source.path, transfer: "t5", to: target)
                }
                try await group.waitForAll()
            }
            try await service.move(uuid, directory: source.path, transfer: "t5", to: target)
            #expect(try await service.output(other, directory: destination.path, tailLength: nil) == lines)
            #expect(source.names.isEmpty)
        }
    }
}

/// Fails one call: odd numbers before it is done, even ones after, as when the answer is lost.
private final class FlakyDestination: ConsoleDestination {
    struct Failure: Error {}

    private let inner: any ConsoleDestination
    private let failAt: Int
    private let calls = Atomic<Int>(0)

    init(_ inner: any ConsoleDestination, failAt: Int) {
        self.inner = inner
        self.failAt = failAt
    }

    private func call<Result>(_ body: () async throws -> Result) async throws -> Result {
        let number = calls.add(1, ordering: .relaxed).oldValue
        if number * 2 == failAt { throw Failure() }
        let result = try await body()
        if number * 2 + 1 == failAt { throw Failure() }
        return result
    }

    func prepareIncoming(transfer: String) async throws -> ConsoleIncoming {
        try await call { try await inner.prepareIncoming(transfer: transfer) }
    }

    func receive(_ chunk: ConsoleTransferChunk, transfer: String) async throws -> Int64 {
        try await call { try await inner.receive(chunk, transfer: transfer) }
    }

    func install(_ seal: ConsoleTransferSeal, transfer: String) async throws {
        try await call { try await inner.install(seal, transfer: transfer) }
    }
}
