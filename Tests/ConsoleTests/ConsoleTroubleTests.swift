import Dispatch
import Glibc
import HostBackend
import Support
import Synchronization
import Testing

@testable import Console

/// Disks that are full or slow.
@Suite(.timeLimit(.minutes(5))) struct ConsoleTroubleTests {
    private static func makeLog(
        _ directory: TestDirectory,
        _ settings: ConsoleSettings,
        _ engine: ConsoleEngine,
        _ probe: @escaping @Sendable (SegmentStore.Step) throws(SystemCallError) -> Void
    ) -> ConsoleLog {
        ConsoleLog(
            directory: directory.path,
            settings: settings,
            engine: engine,
            metrics: ConsoleMetrics(host: "host-a"),
            probe: probe
        )
    }

    /// Whether the retained bytes with the gaps filled are what was printed.
    private func check(_ log: ConsoleLog, _ directory: TestDirectory, printed: [UInt8]) async throws {
        let counters = log.buffer.counters
        #expect(counters.bytesIn == Int64(printed.count))
        #expect(counters.held == 0)
        #expect(log.progress.bytesWritten + counters.dropped == counters.bytesIn)
        #expect(counters.dropped > 0)
        let (data, marks) = try await log.perform { store in
            (try store.read(from: 0, maxBytes: .max), try store.marks())
        }
        let gaps = marks.filter { $0.kind == .gap }
        #expect(gaps.map(\.dropped).reduce(0, +) == counters.dropped)
        var rest = printed[...]
        var position = 0
        for gap in gaps {
            let count = Int(gap.offset) - position
            #expect(data.data[position..<Int(gap.offset)].elementsEqual(rest.prefix(count)))
            rest = rest.dropFirst(count + Int(gap.dropped))
            position = Int(gap.offset)
        }
        #expect(data.data[position...].elementsEqual(rest))
    }

    @Test(arguments: GuestPipe.Kind.allCases)
    func aFullDiskCountsWhatIsDroppedAndRecovers(kind: GuestPipe.Kind) async throws {
        let directory = try TestDirectory()
        let engine = try ConsoleEngine()
        let isFull = Atomic<Bool>(false)
        var settings = ConsoleSettings.quick(segmentBytes: 100_000_000, archives: 1)
        settings.ringBytes = 64 * 1024
        settings.stallLimit = .milliseconds(1)
        let log = Self.makeLog(directory, settings, engine) { step throws(SystemCallError) in
            if isFull.load(ordering: .relaxed), step == .write || step == .writeIndex {
                throw SystemCallError("write", ENOSPC)
            }
        }
        let guest = try GuestPipe(kind)
        let reader = DescriptorReader(guest.descriptor, into: log, reactor: engine.reactor)
        var random = Seeded(1)
        let pieces = [random.bytes(50_000), random.bytes(1_000_000), random.bytes(50_000)]
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { _ = await reader.run() }
            try await onThread { guest.print(pieces[0]) }
            try await eventually { log.progress.bytesWritten == 50_000 }
            isFull.store(true, ordering: .relaxed)
            // Returns although nothing can be written: the guest is not held up.
            try await onThread { guest.print(pieces[1]) }
            try await eventually { log.progress.failure?.number == ENOSPC }
            try await eventually { log.buffer.counters.bytesIn == 1_050_000 }
            isFull.store(false, ordering: .relaxed)
            try await eventually { log.progress.failure == nil && log.buffer.counters.held == 0 }
            try await onThread {
                guest.print(pieces[2])
                guest.end()
            }
        }
        await log.finish()
        try await check(log, directory, printed: pieces.flatMap { $0 })
    }

    @Test func aSlowDiskNeitherHoldsUpTheGuestNorOtherConsoles() async throws {
        let slow = try TestDirectory()
        let engine = try ConsoleEngine()
        let isBlocked = Atomic<Bool>(true)
        let gate = DispatchSemaphore(value: 0)
        var settings = ConsoleSettings.quick(segmentBytes: 100_000_000, archives: 1)
        settings.ringBytes = 128 * 1024
        settings.stallLimit = .milliseconds(1)
        let log = Self.makeLog(slow, settings, engine) { step throws(SystemCallError) in
            if step == .write, isBlocked.exchange(false, ordering: .relaxed) { gate.wait() }
        }
        let guest = try GuestPipe(.socket)
        let reader = DescriptorReader(guest.descriptor, into: log, reactor: engine.reactor)
        var random = Seeded(9)
        let bytes = random.bytes(2_000_000)
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { _ = await reader.run() }
            try await onThread {
                guest.print(bytes)
                guest.end()
            }
            let other = try TestDirectory()
            let uuid = try InstanceUUID.random()
            let neighbour = try GuestPipe()
            try await withService(engine: engine) { service in
                await service.ensure(uuid, directory: other.path, mark: nil) { try neighbour.open() }
                neighbour.print("alive\n")
                neighbour.end()
                _ = try await service.waitForOutput(uuid, directory: other.path, beyond: 5, limit: .seconds(30))
                #expect(try content(other).data == Array("alive\n".utf8))
            }
            gate.signal()
        }
        await log.finish()
        try await check(log, slow, printed: bytes)
    }

    @Test func aSlowDiskHoldsUpAPipeWithoutLoss() async throws {
        let slow = try TestDirectory()
        let engine = try ConsoleEngine()
        let isBlocked = Atomic<Bool>(true)
        let gate = DispatchSemaphore(value: 0)
        var settings = ConsoleSettings.quick(segmentBytes: 100_000_000, archives: 1)
        settings.stallLimit = .milliseconds(1)
        let log = Self.makeLog(slow, settings, engine) { step throws(SystemCallError) in
            if step == .write, isBlocked.exchange(false, ordering: .relaxed) { gate.wait() }
        }
        let guest = try GuestPipe()
        let reader = DescriptorReader(guest.descriptor, into: log, reactor: engine.reactor)
        var random = Seeded(9)
        let bytes = random.bytes(2_000_000)
        let ended = ConsoleSignal()
        try ReactorThread.start(name: "guest") {
            guest.print(bytes)
            guest.end()
            ended.set()
        }
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { _ = await reader.run() }
            // The pipe gets full, and nobody takes anything out of it.
            try await eventually { guest.isFull }
            #expect(!ended.isSet)
            gate.signal()
            await ended.wait()
        }
        await log.finish()
        #expect(log.buffer.counters.bytesIn == 2_000_000)
        #expect(log.buffer.counters.dropped == 0)
        #expect(try content(slow).data == bytes)
    }

    @Test func aFileSystemThatTakesNothingFromPipesIsWrittenThroughMemory() async throws {
        let directory = try TestDirectory()
        let engine = try ConsoleEngine()
        let refusals = Counter()
        let log = Self.makeLog(directory, .quick(), engine) { step throws(SystemCallError) in
            if step == .write, refusals.value == 0 {
                refusals.count()
                throw SystemCallError("splice", EINVAL)
            }
        }
        let guest = try GuestPipe()
        let reader = DescriptorReader(guest.descriptor, into: log, reactor: engine.reactor)
        var random = Seeded(4)
        let bytes = random.bytes(10_000)
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { _ = await reader.run() }
            try await onThread {
                guest.print(bytes)
                guest.end()
            }
        }
        await log.finish()
        #expect(refusals.value == 1)
        #expect(log.progress.failure == nil)
        #expect(try content(directory).data == bytes)
        #expect(reader.directPipe == nil)
    }

    @Test func aMissingDirectoryShowsAsFailedAndIsNotMade() async throws {
        let directory = try TestDirectory()
        let path = directory.path + "/absent"
        let uuid = try InstanceUUID.random()
        let guest = try GuestPipe()
        try await withService { service in
            await service.ensure(uuid, directory: path, mark: .boot) { try guest.open() }
            guest.print("text\n")
            try await eventually { try await service.status(uuid, directory: path).state == .failed }
            #expect(try await service.status(uuid, directory: path).problem != nil)
            mkdir(path, 0o700)
            try await eventually { try await service.status(uuid, directory: path).state == .attached }
            #expect(try await service.output(uuid, directory: path, tailLength: nil) == "text\n")
            rmdir(path)
        }
        guest.end()
    }

    @Test(.enabled(if: mountsWork())) func aRealFullFileSystemRecovers() async throws {
        let directory = try TestDirectory()
        try #require(mount("tmpfs", directory.path, "tmpfs", 0, "size=256k") == 0)
        defer { umount2(directory.path, Int32(MNT_DETACH)) }
        let filler = directory.path + "/filler"
        let uuid = try InstanceUUID.random()
        let guest = try GuestPipe()
        var settings = ConsoleSettings.quick(segmentBytes: 20_000, archives: 1)
        settings.ringBytes = 32 * 1024
        settings.stallLimit = .milliseconds(1)
        try await withService(settings) { service in
            try? directory.write("filler", [UInt8](repeating: 0, count: 252 * 1024))
            await service.ensure(uuid, directory: directory.path, mark: nil) { try guest.open() }
            try await onThread { guest.print([UInt8](repeating: 0x61, count: 200_000)) }
            try await eventually { try await service.status(uuid, directory: directory.path).state == .failed }
            unlink(filler)
            try await eventually { try await service.status(uuid, directory: directory.path).bytesPending == 0 }
            guest.print("back\n")
            guest.end()
            await service.close(uuid, mark: nil)
            #expect(try await service.output(uuid, directory: directory.path, tailLength: nil).hasSuffix("back\n"))
            let status = try await service.status(uuid, directory: directory.path)
            #expect(status.state == .closed)
        }
    }
}

/// Whether this process may mount, found out by trying.
private func mountsWork() -> Bool {
    guard let directory = try? TestDirectory(), mount("tmpfs", directory.path, "tmpfs", 0, "size=64k") == 0 else {
        return false
    }
    umount2(directory.path, Int32(MNT_DETACH))
    return true
}
