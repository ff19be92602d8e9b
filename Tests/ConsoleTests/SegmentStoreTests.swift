import Glibc
import Support
import Synchronization
import Testing

@testable import Console

@Suite struct SegmentStoreTests {
    private let pool = ReactorBlockPool(budget: .max)

    /// Writes slice by slice, like the log does, so that it is known how much was taken when it fails.
    private func append(_ bytes: [UInt8], to store: inout SegmentStore) -> (taken: Int, error: SystemCallError?) {
        var taken = 0
        while taken < bytes.count {
            let block = pool.large() ?? pool.small()
            let count = block.append(bytes[taken...], at: 0)
            var slice = ReactorSlice(block, 0..<count)
            do throws(SystemCallError) {
                try store.append(&slice)
            } catch {
                return (taken + count - slice.count, error)
            }
            taken += count
        }
        return (taken, nil)
    }

    private func checkSizes(_ directory: TestDirectory, _ limits: SegmentLimits) {
        let segments = directory.names.filter { $0.hasPrefix("console.log") }
        #expect(segments.count <= limits.archives + 1)
        for name in segments { #expect(directory.size(name) <= limits.segmentBytes, "\(name)") }
    }

    @Test(arguments: 0..<30)
    func keepsTheNewestBytesExactlyOverRandomWritesRotationsAndRestarts(seed: UInt64) throws {
        var random = Seeded(seed)
        let directory = try TestDirectory()
        let limits = SegmentLimits(
            segmentBytes: Int.random(in: 1...3000, using: &random),
            archives: Int.random(in: 0...4, using: &random)
        )
        var store = SegmentStore(directory: directory.path, limits: limits)
        var all: [UInt8] = []
        for _ in 0..<80 {
            let count = Int.random(in: 0...(limits.segmentBytes * 2), using: &random)
            let bytes = seed % 2 == 0 ? random.text(count) : random.bytes(count)
            #expect(append(bytes, to: &store).error == nil)
            all += bytes
            if Int.random(in: 0..<8, using: &random) == 0 {
                store = SegmentStore(directory: directory.path, limits: limits)
            }
            let range = try store.range()
            #expect(range.upperBound == Int64(all.count))
            if !range.isEmpty {
                let from = Int64.random(in: range, using: &random)
                let chunk = try store.read(from: from, maxBytes: Int.random(in: 1...5000, using: &random))
                #expect(chunk.offset == from)
                #expect(chunk.data.elementsEqual(all[Int(from)..<Int(chunk.nextOffset)]))
            }
        }
        let chunk = try content(directory)
        #expect(chunk.data.elementsEqual(all.suffix(chunk.data.count)))
        #expect(chunk.data.count >= min(all.count, limits.archives * max(1, limits.segmentBytes - 80)))
        checkSizes(directory, limits)
    }

    @Test(arguments: [0, 1, 3], [-1, 0, 1, 250])
    func rotatesAtTheCap(archives: Int, excess: Int) throws {
        let directory = try TestDirectory()
        let limits = SegmentLimits(segmentBytes: 100, archives: archives)
        var store = SegmentStore(directory: directory.path, limits: limits)
        let bytes = [UInt8](repeating: 0x78, count: 100 + excess)
        #expect(append(bytes, to: &store).error == nil)
        let rotations = (100 + excess - 1) / 100
        #expect(directory.size("console.log") == 100 + excess - rotations * 100)
        #expect(directory.names.count { $0.hasPrefix("console.log.") } == min(archives, rotations))
        #expect(try store.range().upperBound == Int64(bytes.count))
    }

    @Test func cutsASegmentAfterANewlineNearItsEnd() throws {
        let directory = try TestDirectory()
        var store = SegmentStore(directory: directory.path, limits: SegmentLimits(segmentBytes: 100, archives: 1))
        let line = [UInt8](repeating: 0x61, count: 59) + [0x0A]
        #expect(append(line, to: &store).error == nil)
        #expect(append(line, to: &store).error == nil)
        #expect(directory.size("console.log.1") == 60)
        #expect(directory.size("console.log") == 60)
    }

    @Test(arguments: [0, 1, 3])
    func everyInterruptionReadsBackInOrderAndGoesOn(archives: Int) throws {
        let limits = SegmentLimits(segmentBytes: 64, archives: archives)
        var random = Seeded(7)
        let bytes = random.text(1000)
        var interruption = 0
        while true {
            let directory = try TestDirectory()
            let steps = Counter()
            let last = interruption
            var store = SegmentStore(directory: directory.path, limits: limits) { _ throws(SystemCallError) in
                if steps.count() > last { throw SystemCallError("killed", EINTR) }
            }
            let (taken, error) = append(bytes, to: &store)
            let retained = try content(directory)
            #expect(retained.endOffset == Int64(taken), "interruption \(interruption)")
            #expect(retained.data.elementsEqual(bytes[..<taken].suffix(retained.data.count)))
            // At most one rotation's worth is gone: what was to be replaced anyway.
            #expect(retained.data.count >= min(taken, archives * 64 - 80))

            var next = SegmentStore(directory: directory.path, limits: limits)
            #expect(append(Array(bytes[taken...]), to: &next).error == nil)
            let whole = try content(directory)
            #expect(whole.endOffset == Int64(bytes.count))
            #expect(whole.data.elementsEqual(bytes.suffix(whole.data.count)))
            checkSizes(directory, limits)
            if error == nil { break }
            interruption += 1
            try #require(interruption < 2000, "never done")
        }
        #expect(interruption > 50)
    }

    private func inode(_ directory: TestDirectory, _ name: String) -> UInt64 {
        var status = stat()
        return stat(directory.path + "/" + name, &status) == 0 ? UInt64(status.st_ino) : 0
    }

    @Test func theOldestArchivesFileBecomesTheNextSegment() throws {
        let directory = try TestDirectory()
        var store = SegmentStore(directory: directory.path, limits: SegmentLimits(segmentBytes: 100, archives: 2))
        let text = [UInt8](repeating: 0x78, count: 100)
        for _ in 0..<3 { #expect(append(text, to: &store).error == nil) }
        for _ in 0..<5 {
            let oldest = inode(directory, "console.log.2")
            let others = ["console.log", "console.log.1"].map { inode(directory, $0) }
            #expect(append(text, to: &store).error == nil)
            #expect(inode(directory, "console.log") == oldest)
            #expect(["console.log.1", "console.log.2"].map { inode(directory, $0) } == others)
        }
        #expect(directory.names == ["console.idx", "console.log", "console.log.1", "console.log.2"])
        #expect(try store.range() == 500..<800)
    }

    @Test func anArchiveThatSomebodyRemovedIsNotMissed() throws {
        let directory = try TestDirectory()
        var store = SegmentStore(directory: directory.path, limits: SegmentLimits(segmentBytes: 100, archives: 1))
        let text = [UInt8](repeating: 0x78, count: 100)
        for _ in 0..<2 { #expect(append(text, to: &store).error == nil) }
        unlink(directory.path + "/console.log.1")
        #expect(append(text, to: &store).error == nil)
        #expect(try store.range() == 100..<300)
        #expect(directory.names == ["console.idx", "console.log", "console.log.1"])
    }

    @Test(arguments: ["lost", "empty", "garbage", "truncated", "directory"])
    func losingTheIndexLosesNoOutput(how: String) throws {
        let directory = try TestDirectory()
        let limits = SegmentLimits(segmentBytes: 200, archives: 2)
        var store = SegmentStore(directory: directory.path, limits: limits)
        var random = Seeded(3)
        let bytes = random.text(2000)
        #expect(append(bytes, to: &store).error == nil)
        try store.mark(.boot, time: 1)
        let before = try content(directory)
        let index = directory.path + "/console.idx"
        switch how {
        case "empty": try directory.write("console.idx", [])
        case "garbage": try directory.write("console.idx", random.bytes(5000))
        case "truncated": truncate(index, off_t(directory.size("console.idx") - 5))
        case "directory":
            unlink(index)
            mkdir(index, 0o700)
        default: unlink(index)
        }
        var next = SegmentStore(directory: directory.path, limits: limits)
        let after = try next.read(from: 0, maxBytes: .max)
        #expect(after.data == before.data)
        #expect(after.firstOffset == (how == "truncated" ? before.firstOffset : 0))
        #expect(append([1, 2, 3], to: &next).error == nil)
        #expect(try content(directory).endOffset == after.endOffset + 3)
        if how != "directory" {
            try next.mark(.stop, time: 2)
            #expect(try next.marks().last?.kind == .stop)
        }
    }

    @Test func marksKeepTheirPlaceAcrossRotationsAndTheIndexStaysSmall() throws {
        let directory = try TestDirectory()
        var store = SegmentStore(directory: directory.path, limits: SegmentLimits(segmentBytes: 50, archives: 1))
        for number in 0..<3000 {
            #expect(append([UInt8](repeating: 0x2E, count: 7), to: &store).error == nil)
            try store.mark(.boot, time: Int64(number))
        }
        #expect(directory.size("console.idx") <= SegmentStore.indexCap + 200)
        let marks = try store.marks()
        #expect(marks.last == ConsoleMark(kind: .boot, offset: 21_000, time: 2999))
        for mark in marks { #expect(mark.offset == (mark.time + 1) * 7) }
        #expect(marks.count > 100)
        #expect(try store.range().upperBound == 21_000)
    }

    @Test func lookingCreatesNothing() throws {
        let directory = try TestDirectory()
        let limits = SegmentLimits(segmentBytes: 10, archives: 1)
        var store = SegmentStore(directory: directory.path + "/absent", limits: limits)
        #expect(try store.read(from: 0, maxBytes: 10).data.isEmpty)
        #expect(try store.tail(lines: 5, maxBytes: 100).data.isEmpty)
        #expect(try store.marks().isEmpty)
        #expect(directory.names.isEmpty)
        var bytes: [UInt8] = [1]
        bytes.removeFirst(0)
        #expect(append(bytes, to: &store).error?.number == ENOENT)
        #expect(directory.names.isEmpty)
    }

    @Test func lowerCapsTrimFromTheOldestByteAndKeepOffsets() throws {
        let directory = try TestDirectory()
        var store = SegmentStore(directory: directory.path, limits: SegmentLimits(segmentBytes: 1000, archives: 4))
        var random = Seeded(5)
        var all = random.text(4500)
        #expect(append(all, to: &store).error == nil)
        store.limits = SegmentLimits(segmentBytes: 300, archives: 2)
        #expect(append([0x41], to: &store).error == nil)
        all.append(0x41)
        checkSizes(directory, store.limits)
        let chunk = try content(directory)
        #expect(chunk.endOffset == 4501)
        #expect(chunk.data.elementsEqual(all.suffix(chunk.data.count)))
        #expect(chunk.data.count > 400)
    }

    @Test func filesArePrivate() throws {
        let directory = try TestDirectory()
        var store = SegmentStore(directory: directory.path, limits: SegmentLimits(segmentBytes: 10, archives: 1))
        #expect(append([UInt8](repeating: 1, count: 25), to: &store).error == nil)
        for name in directory.names {
            var status = stat()
            stat(directory.path + "/" + name, &status)
            #expect(status.st_mode & 0o777 == 0o600, "\(name)")
        }
    }
}
