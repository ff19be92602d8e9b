import Glibc
import Processes
import Support

/// How long a process has used processors.
enum CPUTime {
    private static let ticksPerSecond = UInt64(max(1, sysconf(Int32(_SC_CLK_TCK))))

    /// User and system time together; `nil` if it is not that very process any more. The kernel has it at once.
    static func nanoseconds(of process: ProcessIdentity) -> UInt64? {
        guard let file = try? ReactorFile.reading("/proc/\(process.pid)/stat") ?? nil,
            let bytes = try? file.read(at: 0, count: 4096)
        else { return nil }
        return nanoseconds(stat: String(decoding: bytes, as: UTF8.self), startTime: process.startTime)
    }

    /// Fields 14, 15 and 22; the program's name may hold blanks and parentheses, so they count from the last `)`.
    static func nanoseconds(stat text: String, startTime: UInt64) -> UInt64? {
        guard let end = text.lastIndex(of: ")") else { return nil }
        let fields = text[text.index(after: end)...].split(whereSeparator: \.isWhitespace)
        guard fields.count > 19, UInt64(fields[19]) == startTime, let user = UInt64(fields[11]),
            let system = UInt64(fields[12])
        else { return nil }
        return (user + system) * (1_000_000_000 / ticksPerSecond)
    }
}

enum WallTime {
    /// Milliseconds since 1970.
    static var milliseconds: UInt64 {
        var time = timespec()
        clock_gettime(CLOCK_REALTIME, &time)
        return UInt64(max(0, time.tv_sec)) * 1000 + UInt64(max(0, time.tv_nsec)) / 1_000_000
    }
}
