import Glibc
import HostBackend
import Support
import Testing

@testable import Console

/// What goes from a pipe into the segments.
@Suite(.timeLimit(.minutes(5))) struct SegmentPipeTests {
    /// Lets the store take all that the pipe holds.
    private func take(_ guest: GuestPipe, _ store: inout SegmentStore) throws -> (taken: Int, state: PipeState) {
        let pipe = try #require(ReactorPipe(guest.descriptor.fileDescriptor))
        var taken = 0
        while true {
            let state = try store.take(pipe, limit: 1000, moved: &taken)
            if state != .more { return (taken, state) }
        }
    }

    @Test(arguments: 0..<20)
    func segmentsAreThoseOfTheWayThroughMemory(seed: UInt64) throws {
        var random = Seeded(seed)
        let limits = SegmentLimits(
            segmentBytes: Int.random(in: 1...1500, using: &random),
            archives: Int.random(in: 0...40, using: &random)
        )
        let (one, other) = (try TestDirectory(), try TestDirectory())
        var direct = SegmentStore(directory: one.path, limits: limits)
        var memory = SegmentStore(directory: other.path, limits: limits)
        let pool = ReactorBlockPool(budget: .max)
        let guest = try GuestPipe()
        var all: [UInt8] = []
        for _ in 0..<60 {
            let count = Int.random(in: 1...4000, using: &random)
            let bytes = seed % 2 == 0 ? random.text(count) : random.bytes(count)
            all += bytes
            guest.print(bytes)
            #expect(try take(guest, &direct) == (count, .empty))
            let block = try #require(pool.large())
            var slice = ReactorSlice(block, 0..<block.append(bytes[...], at: 0))
            try memory.append(&slice)
            if Int.random(in: 0..<8, using: &random) == 0 {
                direct = SegmentStore(directory: one.path, limits: limits)
            }
        }
        for name in Set(one.names + other.names) where name != "console.idx" {
            #expect(one.size(name) == other.size(name), "\(name)")
        }
        let chunk = try content(one)
        #expect(chunk.endOffset == Int64(all.count))
        #expect(chunk.data.elementsEqual(all.suffix(chunk.data.count)))
        #expect(try content(other) == chunk)
        guest.end()
        #expect(try take(guest, &direct) == (0, .end))
        close(guest.descriptor.fileDescriptor)
    }

    @Test(arguments: [0, 1, 3])
    func everyInterruptionLeavesEachByteInThePipeOrInTheLog(archives: Int) throws {
        let limits = SegmentLimits(segmentBytes: 200, archives: archives)
        var random = Seeded(7)
        let bytes = random.text(3000)
        var interruption = 0
        while true {
            let directory = try TestDirectory()
            let guest = try GuestPipe()
            guest.print(bytes)
            let steps = Counter()
            let last = interruption
            var store = SegmentStore(directory: directory.path, limits: limits) { _ throws(SystemCallError) in
                if steps.count() > last { throw SystemCallError("killed", EINTR) }
            }
            let isDone = (try? take(guest, &store)) != nil
            let end = try content(directory).endOffset
            var next = SegmentStore(directory: directory.path, limits: limits)
            #expect(try take(guest, &next).taken == bytes.count - Int(end), "interruption \(interruption)")
            let chunk = try content(directory)
            #expect(chunk.endOffset == Int64(bytes.count))
            #expect(chunk.data.elementsEqual(bytes.suffix(chunk.data.count)))
            guest.end()
            close(guest.descriptor.fileDescriptor)
            if isDone { break }
            interruption += 1
            try #require(interruption < 2000, "never done")
        }
        #expect(interruption > 30)
    }

    @Test func aLogThatSomebodyEmptiedGoesOnWithoutAHole() throws {
        let directory = try TestDirectory()
        let guest = try GuestPipe()
        var store = SegmentStore(directory: directory.path, limits: SegmentLimits(segmentBytes: 1000, archives: 1))
        guest.print("before\n")
        #expect(try take(guest, &store).taken == 7)
        truncate(directory.path + "/console.log", 0)
        guest.print("after\n")
        #expect(try take(guest, &store).taken == 6)
        #expect(try content(directory).data == Array("after\n".utf8))
        guest.end()
        close(guest.descriptor.fileDescriptor)
    }

    @Test func onlyPipesAreTakenFor() throws {
        let pipe = try GuestPipe()
        let socket = try GuestPipe(.socket)
        #expect(ReactorPipe(pipe.descriptor.fileDescriptor) != nil)
        #expect(ReactorPipe(socket.descriptor.fileDescriptor) == nil)
        for guest in [pipe, socket] {
            guest.end()
            close(guest.descriptor.fileDescriptor)
        }
    }
}
