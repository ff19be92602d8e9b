import Foundation
import TestSupport

/// What the kernel tells of a process.
package struct ProcessFigures: Sendable, CustomStringConvertible {
    package let residentKiB: Int
    package let threads: Int
    package let descriptors: Int

    /// Of the process `id`, now.
    package init(_ id: Int32) throws {
        let status = try String(contentsOfFile: "/proc/\(id)/status", encoding: .utf8)
        residentKiB = Self.number("VmRSS:", status)
        threads = Self.number("Threads:", status)
        descriptors = try FileManager.default.contentsOfDirectory(atPath: "/proc/\(id)/fd").count
    }

    private static func number(_ name: String, _ status: String) -> Int {
        let line = status.split(separator: "\n").first { $0.hasPrefix(name) }
        return line?.split(whereSeparator: \.isWhitespace).dropFirst().first.flatMap { Int($0) } ?? 0
    }

    package var description: String { "RSS \(residentKiB / 1024) MiB, \(threads) threads, \(descriptors) descriptors" }
}
