import Foundation
import Glibc
import TestSupport

/// What the kernel tells of a process.
package struct ProcessFigures: Sendable, CustomStringConvertible {
    package let residentKiB: Int
    package let threads: Int
    package let descriptors: Int
    /// Time on a processor since its start, its own and the kernel's for it.
    package let processorSeconds: Double

    /// Of the process `id`, now.
    package init(_ id: Int32) throws {
        let status = try String(contentsOfFile: "/proc/\(id)/status", encoding: .utf8)
        residentKiB = Self.number("VmRSS:", status)
        threads = Self.number("Threads:", status)
        descriptors = try FileManager.default.contentsOfDirectory(atPath: "/proc/\(id)/fd").count
        // Behind the name, which may hold anything, fields 14 and 15 of proc(5), in ticks.
        let stat = try String(contentsOfFile: "/proc/\(id)/stat", encoding: .utf8)
        let fields = stat[(stat.lastIndex(of: ")") ?? stat.startIndex)...].split(separator: " ")
        let ticks = fields.dropFirst(12).prefix(2).compactMap { Double($0) }.reduce(0, +)
        processorSeconds = ticks / Double(sysconf(Int32(_SC_CLK_TCK)))
    }

    private static func number(_ name: String, _ status: String) -> Int {
        let line = status.split(separator: "\n").first { $0.hasPrefix(name) }
        return line?.split(whereSeparator: \.isWhitespace).dropFirst().first.flatMap { Int($0) } ?? 0
    }

    package var description: String { "RSS \(residentKiB / 1024) MiB, \(threads) threads, \(descriptors) descriptors" }
}
