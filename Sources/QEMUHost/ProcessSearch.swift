import DiskImages
import Glibc
import HostBackend
import Processes
import Support

/// Finds a process by its command line.
enum ProcessSearch {
    private static let longestCommandLine = 64 << 10

    /// The first process whose words satisfy `isWanted`; `nil` if there is none. Blocks for some milliseconds.
    static func find(_ isWanted: ([String]) -> Bool) throws(BackendError) -> ProcessIdentity? {
        for name in try FileCalls.names(in: "/proc") {
            guard let pid = Int32(name), let words = words(pid), isWanted(words) else { continue }
            // Named before the words are read again, so that they are those of the process that is named.
            guard let identity = ProcessIdentity(running: pid), let again = Self.words(pid), isWanted(again) else {
                continue
            }
            return identity
        }
        return nil
    }

    private static func words(_ pid: Int32) -> [String]? {
        guard let bytes = try? FileCalls.read("/proc/\(pid)/cmdline", offset: 0, count: longestCommandLine) else {
            return nil
        }
        return bytes.split(separator: 0).map { String(decoding: $0, as: UTF8.self) }
    }
}
