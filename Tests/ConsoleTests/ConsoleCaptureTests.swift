import Glibc
import HostBackend
import Support
import Synchronization
import Testing

@testable import Console

@Suite(.timeLimit(.minutes(15))) struct ConsoleCaptureTests {
    @Test func capturesWhatIsPrintedAndReadsItAfterTheStop() async throws {
        let directory = try TestDirectory()
        let uuid = try InstanceUUID.random()
        let guest = try GuestPipe()
        try await withService { service in
            await service.ensure(uuid, directory: directory.path, mark: .boot) { try guest.open() }
            guest.print("hello\nworld\n")
            let end = try await service.waitForOutput(uuid, directory: directory.path, beyond: 11, limit: .seconds(30))
            #expect(end == 12)
            #expect(try await service.status(uuid, directory: directory.path).state == .attached)
            guest.print("bye\n")
            guest.end()
            await service.close(uuid, mark: .stop)
            #expect(try await service.output(uuid, directory: directory.path, tailLength: nil) == "hello\nworld\nbye\n")
            #expect(try await service.output(uuid, directory: directory.path, tailLength: 2) == "world\nbye")
            let marks = try await service.marks(uuid, directory: directory.path)
            #expect(marks.map(\.kind) == [.boot, .stop])
            #expect(marks.map(\.offset) == [0, 16])
            #expect(try await service.status(uuid, directory: directory.path).state == .closed)
            #expect(openDescriptors(under: directory.path) == 0)
        }
    }

    @Test func isByteTransparentAndExactForLargeOutput() async throws {
        let directory = try TestDirectory()
        let uuid = try InstanceUUID.random()
        let guest = try GuestPipe()
        var random = Seeded(11)
        let bytes = (0...255).map { UInt8($0) } + random.bytes(10 * 1024 * 1024)
        var settings = ConsoleSettings.quick(segmentBytes: 1_000_003, archives: 20)
        settings.stallLimit = .seconds(30)
        try await withService(settings) { service in
            await service.ensure(uuid, directory: directory.path, mark: nil) { try guest.open() }
            try await onThread {
                guest.print(bytes)
                guest.end()
            }
            await service.close(uuid, mark: nil)
            let status = try await service.status(uuid, directory: directory.path)
            #expect(status.bytesDropped == 0)
            #expect(status.endOffset == Int64(bytes.count))
            #expect(try content(directory).data == bytes)
        }
    }

    @Test func comesBackAHundredTimesWithoutLossOrSpin() async throws {
        let directory = try TestDirectory()
        let uuid = try InstanceUUID.random()
        let opened = Counter()
        let expected = (1...100).map { "line \($0)\n" }.joined()
        try await withService { service in
            await service.ensure(uuid, directory: directory.path, mark: nil) {
                let number = opened.count()
                guard number <= 100 else { throw BackendError(.unavailable, "gone") }
                let guest = try GuestPipe()
                guest.print("line \(number)\n")
                guest.end()
                return try guest.open()
            }
            _ = try await service.waitForOutput(
                uuid,
                directory: directory.path,
                beyond: Int64(expected.utf8.count - 1),
                limit: .seconds(50)
            )
            #expect(try await service.output(uuid, directory: directory.path, tailLength: nil) == expected)
            #expect(try await service.status(uuid, directory: directory.path).reconnects == 99)
            await service.close(uuid, mark: nil)
        }
    }

    @Test func ensureTwiceMakesOneReader() async throws {
        let directory = try TestDirectory()
        let uuid = try InstanceUUID.random()
        let guest = try GuestPipe()
        let opened = Counter()
        try await withService { service in
            await withTaskGroup(of: Void.self) { group in
                for _ in 0..<20 {
                    group.addTask {
                        await service.ensure(uuid, directory: directory.path, mark: .resume) {
                            opened.count()
                            return try guest.open()
                        }
                    }
                }
            }
            guest.print("once\n")
            guest.end()
            try await eventually { opened.value > 0 }
            await service.close(uuid, mark: nil)
            await service.close(uuid, mark: nil)
            #expect(try await service.output(uuid, directory: directory.path, tailLength: nil) == "once\n")
            #expect(try await service.marks(uuid, directory: directory.path).count == 20)
        }
    }

    @Test(arguments: ["silent", "flooding", "dead", "refusing"])
    func closingIsBounded(kind: String) async throws {
        let directory = try TestDirectory()
        let uuid = try InstanceUUID.random()
        let guest = try GuestPipe()
        let forever = ConsoleSignal()
        let over = ConsoleSignal()
        try await withService { service in
            await service.ensure(uuid, directory: directory.path, mark: nil) {
                switch kind {
                case "refusing": throw BackendError(.unavailable, "not now")
                case "dead":
                    // Deaf to cancellation.
                    await Task { await forever.wait() }.value
                    return try guest.open()
                default: return try guest.open()
                }
            }
            if kind == "flooding" {
                try ReactorThread.start(name: "flood") {
                    while guest.print([UInt8](repeating: 0x2E, count: 4096)) {}
                    over.set()
                }
                _ = try await service.waitForOutput(uuid, directory: directory.path, beyond: 0, limit: .seconds(30))
            }
            await service.close(uuid, mark: .stop)
            #expect(try await service.status(uuid, directory: directory.path).state == .closed)
            if kind == "flooding" { await over.wait() }
            forever.set()
        }
        if kind != "flooding" { #expect(guest.print([1]) == (kind == "refusing")) }
        guest.end()
    }

    @Test func aMachineWithoutConsoleSaysSo() async throws {
        let directory = try TestDirectory()
        let uuid = try InstanceUUID.random()
        try await withService { service in
            await service.ensure(uuid, directory: directory.path, mark: nil) {
                throw BackendError.unsupported("console")
            }
            try await eventually { try await service.status(uuid, directory: directory.path).state == .closed }
            await #expect {
                _ = try await service.output(uuid, directory: directory.path, tailLength: nil)
            } throws: {
                ($0 as? ConsoleError)?.code == .notAvailable
            }
        }
    }

    @Test func aThousandConsolesLoseNothing() async throws {
        guard ReactorThread.raiseDescriptorLimit() >= 4096 else { return }
        let directory = try TestDirectory()
        let guests = try (0..<1000).map { number in
            let path = directory.path + "/\(number)"
            mkdir(path, 0o700)
            return (uuid: try InstanceUUID.random(), path: path, pipe: try GuestPipe())
        }
        var settings = ConsoleSettings.quick(segmentBytes: 64 * 1024, archives: 1)
        settings.stallLimit = .seconds(30)
        try await withService(settings) { service in
            for guest in guests {
                await service.ensure(guest.uuid, directory: guest.path, mark: .boot) { try guest.pipe.open() }
            }
            try await onThread {
                for round in 0..<20 {
                    for guest in guests {
                        guest.pipe.print((0..<10).map { "\(round * 10 + $0)\n" }.joined())
                    }
                }
                for guest in guests { guest.pipe.end() }
            }
            await withTaskGroup(of: Void.self) { group in
                for guest in guests { group.addTask { await service.close(guest.uuid, mark: .stop) } }
            }
            let expected = (0..<200).map { "\($0)\n" }.joined()
            for guest in guests {
                #expect(try await service.output(guest.uuid, directory: guest.path, tailLength: nil) == expected)
            }
        }
        #expect(openDescriptors(under: directory.path) == 0)
    }

    @Test func pushedStreamsAreCapturedToTheirEnd() async throws {
        let directory = try TestDirectory()
        let uuid = try InstanceUUID.random()
        let stream = PushedStream()
        try await withService { service in
            await service.ensure(uuid, directory: directory.path, mark: nil) { .stream(stream) }
            for number in 0..<100 { stream.push("\(number)\n") }
            try await eventually { stream.isDrained }
            stream.push("last\n")
            stream.finish()
            await service.close(uuid, mark: nil)
            let expected = (0..<100).map { "\($0)\n" }.joined() + "last\n"
            #expect(try await service.output(uuid, directory: directory.path, tailLength: nil) == expected)
        }
    }

    @Test func followersSeeEveryByteOnce() async throws {
        let directory = try TestDirectory()
        let uuid = try InstanceUUID.random()
        var random = Seeded(2)
        let pieces = (0..<40).map { _ in random.text(100) }
        try await withService(.quick(segmentBytes: 1000, archives: 100)) { service in
            try await withThrowingTaskGroup(of: [UInt8].self) { group in
                group.addTask {
                    var seen: [UInt8] = []
                    for try await chunk in service.follow(uuid, directory: directory.path, from: 0) {
                        #expect(chunk.offset == Int64(seen.count))
                        seen += chunk.data
                        if seen.count == 4000 { break }
                    }
                    return seen
                }
                for half in [pieces[..<20], pieces[20...]] {
                    let guest = try GuestPipe()
                    await service.ensure(uuid, directory: directory.path, mark: .boot) { try guest.open() }
                    for piece in half { guest.print(piece) }
                    guest.end()
                    await service.close(uuid, mark: .stop)
                }
                #expect(try await group.next() == pieces.flatMap { $0 })
            }
        }
    }

    @Test func cancellingTheServiceClosesEverything() async throws {
        let directory = try TestDirectory()
        let uuid = try InstanceUUID.random()
        let guest = try GuestPipe()
        try await withService { service in
            await service.ensure(uuid, directory: directory.path, mark: nil) { try guest.open() }
            guest.print("kept\n")
            try await eventually { try await service.status(uuid, directory: directory.path).state == .attached }
            await service.shutdown()
            #expect(guest.print([1]) == false)
            #expect(try content(directory).data == Array("kept\n".utf8))
            #expect(openDescriptors(under: directory.path) == 0)
        }
        guest.end()
    }

    @Test func deletingLeavesTheDirectoryEmpty() async throws {
        let directory = try TestDirectory()
        let uuid = try InstanceUUID.random()
        let guest = try GuestPipe()
        try await withService(.quick(segmentBytes: 10)) { service in
            await service.ensure(uuid, directory: directory.path, mark: .boot) { try guest.open() }
            guest.print("some text that rotates\n")
            _ = try await service.waitForOutput(uuid, directory: directory.path, beyond: 20, limit: .seconds(30))
            try await service.delete(uuid, directory: directory.path)
            try await service.delete(uuid, directory: directory.path)
            #expect(directory.names.isEmpty)
            #expect(try await service.output(uuid, directory: directory.path, tailLength: nil) == "")
        }
        guest.end()
    }

    @Test func onStopDeleteRemovesTheLog() async throws {
        let directory = try TestDirectory()
        let uuid = try InstanceUUID.random()
        let guest = try GuestPipe()
        var settings = ConsoleSettings.quick()
        settings.onStop = .delete
        try await withService(settings) { service in
            await service.ensure(uuid, directory: directory.path, mark: .boot) { try guest.open() }
            guest.print("text\n")
            await service.close(uuid, mark: .stop)
            #expect(directory.names.isEmpty)
        }
        guest.end()
    }

    @Test func newCapsHoldWhileCapturing() async throws {
        let directory = try TestDirectory()
        let uuid = try InstanceUUID.random()
        let guest = try GuestPipe()
        try await withService(.quick(segmentBytes: 10_000, archives: 2)) { service in
            await service.ensure(uuid, directory: directory.path, mark: nil) { try guest.open() }
            guest.print([UInt8](repeating: 0x61, count: 25_000))
            _ = try await service.waitForOutput(uuid, directory: directory.path, beyond: 24_999, limit: .seconds(30))
            service.settings = .quick(segmentBytes: 1000, archives: 1)
            guest.print("x")
            guest.end()
            await service.close(uuid, mark: nil)
            let sizes = directory.names.filter { $0.hasPrefix("console.log") }.map { directory.size($0) }
            #expect(sizes.count <= 2)
            #expect(sizes.allSatisfy { $0 <= 1000 })
            let status = try await service.status(uuid, directory: directory.path)
            #expect(status.endOffset == 25_001)
        }
    }
}

/// A stream whose chunks a test pushes.
final class PushedStream: ConsoleStream {
    private let pulled: AsyncStream<[UInt8]>
    private let pushing: AsyncStream<[UInt8]>.Continuation
    private let left = Atomic<Int>(0)

    init() { (pulled, pushing) = AsyncStream.makeStream() }

    var isDrained: Bool { left.load(ordering: .relaxed) == 0 }

    func push(_ text: String) {
        left.add(1, ordering: .relaxed)
        pushing.yield(Array(text.utf8))
    }

    func finish() { pushing.finish() }

    func next() async throws -> [UInt8]? {
        var iterator = pulled.makeAsyncIterator()
        let chunk = await iterator.next()
        if chunk != nil { left.subtract(1, ordering: .relaxed) }
        return chunk
    }

    func close() async { pushing.finish() }
}
