import Foundation
import TestSupport
import Testing

@testable import PluginServer

/// What a served host keeps of its machines' consoles.
@Suite struct ConsoleSpoolTests {
    private func bytes(_ range: Range<UInt64>) -> [UInt8] { range.map { UInt8($0 % 251) } }

    private func all(_ spool: ConsoleSpool, from: UInt64) throws -> [UInt8] {
        var (found, offset) = ([UInt8](), from)
        while case let piece = try spool.read(from: offset, limit: 100_000), !piece.isEmpty {
            found += piece
            offset += UInt64(piece.count)
        }
        return found
    }

    @Test func theNewestBytesAreKeptWithTheirOffsets() async throws {
        try await withTemporaryDirectory { directory in
            var spool = try ConsoleSpool(directory + "/c")
            #expect([spool.begin, spool.end] == [0, 0])
            let step: UInt64 = 100_000
            for number in 0..<UInt64(40) { spool.append(bytes(number * step..<(number + 1) * step)) }
            let end = 40 * step
            #expect(spool.end == end)
            #expect(spool.begin > 0)
            #expect(end - spool.begin >= UInt64(ConsoleSpool.fileCount - 1) * ConsoleSpool.fileBytes)
            #expect(try all(spool, from: spool.begin) == bytes(spool.begin..<end))
            #expect(try all(spool, from: end - 7) == bytes(end - 7..<end))
            #expect(try spool.read(from: end, limit: 10) == [])
            #expect(try spool.read(from: spool.begin - 1, limit: 10) == [])

            // The next process goes on.
            var second = try ConsoleSpool(directory + "/c")
            #expect([second.begin, second.end] == [spool.begin, end])
            second.append(bytes(end..<end + 5))
            #expect(try all(second, from: end - 5) == bytes(end - 5..<end + 5))
            try ConsoleSpool.remove(directory + "/c")
            #expect(try ConsoleSpool(directory + "/c").end == 0)
        }
    }

    @Test func whatCannotBeWrittenIsNotKeptInPart() async throws {
        try await withTemporaryDirectory { directory in
            var spool = try ConsoleSpool(directory + "/c")
            try FileManager.default.removeItem(atPath: directory + "/c")
            try Data().write(to: URL(filePath: directory + "/c"))
            spool.append([1, 2, 3])
            spool.append([4])
            #expect([spool.begin, spool.end] == [0, 0])
        }
    }
}
