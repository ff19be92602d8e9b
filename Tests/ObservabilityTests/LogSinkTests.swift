import Foundation
import Glibc
import Testing

@testable import Observability

@Suite(.timeLimit(.minutes(5))) struct LogSinkTests {
    @Test func linesOfManyThreadsStayWholeAndInOrder() async throws {
        let capture = try LogCapture()
        await withTaskGroup(of: Void.self) { group in
            for writer in 0..<8 {
                group.addTask {
                    for number in 0..<500 { capture.sink.append(Array("\(writer) \(number)\n".utf8)) }
                }
            }
        }
        let lines = try await capture.lines()
        #expect(lines.count == 4000)
        for writer in 0..<8 {
            let numbers = lines.filter { $0.hasPrefix("\(writer) ") }.compactMap { Int($0.dropFirst(2)) }
            #expect(numbers == Array(0..<500))
        }
    }

    @Test func reopenGoesOnInANewFile() async throws {
        let capture = try LogCapture()
        capture.sink.append(Array("old\n".utf8))
        await capture.sink.flush()
        let moved = capture.path + ".1"
        try FileManager.default.moveItem(atPath: capture.path, toPath: moved)
        defer { try? FileManager.default.removeItem(atPath: moved) }
        capture.sink.append(Array("still old\n".utf8))
        capture.sink.reopen()
        capture.sink.append(Array("new\n".utf8))
        #expect(try await capture.lines() == ["new"])
        #expect(try String(contentsOfFile: moved, encoding: .utf8) == "old\nstill old\n")
        let mode = try FileManager.default.attributesOfItem(atPath: capture.path)[.posixPermissions] as? Int
        #expect(mode == 0o600)
    }

    @Test func failedReopenKeepsTheOldFile() async throws {
        let directory = NSTemporaryDirectory() + "vmops-log-\(UUID().uuidString)"
        try FileManager.default.createDirectory(atPath: directory, withIntermediateDirectories: true)
        let sink = try LogSink(.file(path: directory + "/log"))
        let moved = directory + "-moved"
        try FileManager.default.moveItem(atPath: directory, toPath: moved)
        defer { try? FileManager.default.removeItem(atPath: moved) }
        sink.reopen()
        sink.append(Array("here\n".utf8))
        await sink.flush()
        #expect(try String(contentsOfFile: moved + "/log", encoding: .utf8) == "here\n")
        #expect(sink.failedWrites == 1)
    }

    /// A pipe nobody reads holds the writer up, never the callers; what does not fit is counted and told.
    @Test func fullSinkDropsAndSaysSo() async throws {
        var ends: [Int32] = [0, 0]
        #expect(pipe(&ends) == 0)
        let (reader, writer) = (ends[0], ends[1])
        let sink = try LogSink(.descriptor(writer), capacity: 1000)
        let line = Array((String(repeating: "x", count: 99) + "\n").utf8)
        // Far more than the pipe, the part being written and the waiting part hold together.
        for _ in 0..<5000 { sink.append(line) }
        #expect(sink.droppedLines > 0)
        let readAll = Task.detached { () -> [UInt8] in
            // Ends with the pipe, awaited below.
            var all: [UInt8] = []
            var block = [UInt8](repeating: 0, count: 4096)
            while true {
                let count = read(reader, &block, block.count)
                guard count > 0 else { return all }
                all += block.prefix(count)
            }
        }
        await sink.flush()
        sink.append(line)
        await sink.flush()
        close(writer)
        let text = String(decoding: await readAll.value, as: UTF8.self)
        close(reader)
        let lines = text.split(separator: "\n")
        let whole = lines.filter { $0 == String(repeating: "x", count: 99) }.count
        let notices = lines.compactMap { $0.split(separator: "count=").last.flatMap { Int($0) } }
        #expect(whole + notices.count == lines.count, "no line is torn")
        #expect(notices.reduce(0, +) == sink.droppedLines)
        #expect(whole + sink.droppedLines == 5001)
    }

    @Test func unusableFileIsToldAtOnce() {
        #expect(throws: ObservabilityError.self) { try LogSink(.file(path: "/proc/none/log")) }
    }
}
