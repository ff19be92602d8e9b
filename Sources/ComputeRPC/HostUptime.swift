import Glibc
import Support

/// The host's uptime in one line shaped like the Unix command's (VM operations, section 12.2).
package enum HostUptime {
    package static func line() async throws -> String {
        try await BlockingPool.shared.run {
            let seconds = Double(try firstWord(of: "/proc/uptime")) ?? 0
            let loads = try words(of: "/proc/loadavg").prefix(3).joined(separator: ", ")
            var now = time(nil)
            var parts = tm()
            localtime_r(&now, &parts)
            let clock = [parts.tm_hour, parts.tm_min, parts.tm_sec].map { twoDigits(Int($0)) }.joined(separator: ":")
            return " \(clock) up \(duration(Int(seconds))),  \(userCount()) users,  load average: \(loads)"
        }
    }

    static func duration(_ seconds: Int) -> String {
        let (days, hours, minutes) = (seconds / 86_400, seconds / 3600 % 24, seconds / 60 % 60)
        let prefix = days == 0 ? "" : days == 1 ? "1 day, " : "\(days) days, "
        return hours == 0 ? "\(prefix)\(minutes) min" : "\(prefix)\(hours):\(twoDigits(minutes))"
    }

    private static func twoDigits(_ number: Int) -> String { number < 10 ? "0\(number)" : "\(number)" }

    /// Sessions in the login records.
    private static func userCount() -> Int {
        setutent()
        defer { endutent() }
        var count = 0
        while let entry = getutent() {
            if entry.pointee.ut_type == Int16(USER_PROCESS) { count += 1 }
        }
        return count
    }

    private static func firstWord(of path: String) throws -> String { try words(of: path).first ?? "" }

    private static func words(of path: String) throws -> [String] {
        let descriptor = open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { throw FileError("open", path) }
        defer { close(descriptor) }
        let bytes = [UInt8](unsafeUninitializedCapacity: 256) { buffer, count in
            count = max(0, read(descriptor, buffer.baseAddress, 256))
        }
        return String(decoding: bytes, as: UTF8.self).split { $0 == " " || $0 == "\n" }.map(String.init)
    }
}
