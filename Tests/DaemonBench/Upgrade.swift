import Foundation
import Glibc
package import TestSupport

/// SIGUSR2 to a daemon that runs from a copy of the program in its own directory, where another copy can be put.
package enum Upgrade {
    /// The same daemon, run from the copy.
    package static func settings(_ settings: DaemonSettings) -> DaemonSettings {
        var settings = settings
        settings.command = ["%/vmopsd"]
        return settings
    }

    /// Puts a copy of the built program in place as packages do: the old file lives on, unnamed.
    @Sendable
    package static func install(_ directory: String) async throws {
        _ = try await runCommand("cp", [Checkout.program("vmopsd"), directory + "/vmopsd.new"])
        guard rename(directory + "/vmopsd.new", directory + "/vmopsd") == 0 else { throw Unexpected("not renamed") }
    }

    /// The file that the daemon's process runs.
    package static func program(_ bench: Bench) throws -> UInt64 {
        var status = stat()
        guard let id = bench.daemon.processIdentifier, stat("/proc/\(id)/exe", &status) == 0 else {
            throw Unexpected("no process")
        }
        return UInt64(status.st_ino)
    }

    /// Has the daemon go on as the program now installed; returns how long nothing was consumed.
    package static func perform(_ bench: Bench) async throws -> Duration {
        let before = bench.daemon.logLines.count { $0.contains(" serving") }
        guard let id = bench.daemon.processIdentifier, kill(id, SIGUSR2) == 0 else { throw Unexpected("no process") }
        try await eventually("service by the new program") {
            bench.daemon.logLines.count { $0.contains(" serving") } == before + 1
        }
        let lines = bench.daemon.logLines
        let begin = lines.last { $0.contains("upgrade begins") }.flatMap(time)
        let end = lines.last { $0.contains(" serving") }.flatMap(time)
        guard let begin, let end else { throw Unexpected("no times in the log") }
        return .milliseconds(Int((end - begin) * 1000))
    }

    private static func time(_ line: String) -> Double? {
        let text = line.split(separator: " ").first.map(String.init) ?? ""
        let style = Date.ISO8601FormatStyle(includingFractionalSeconds: true)
        return try? Date(text, strategy: style).timeIntervalSince1970
    }
}
