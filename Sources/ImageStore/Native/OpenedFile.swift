import DiskImages
import Glibc
import HostBackend
import SystemPackage

/// A file opened for reading of which it is known where it really lies; closed when the last reference goes.
final class OpenedFile: Sendable {
    /// Without links.
    let path: String
    let status: FileCalls.Status

    private let descriptor: Int32

    /// Leads to the file whatever happens to its path.
    var handle: String { "/proc/self/fd/\(descriptor)" }

    /// Opens a regular file that lies below one of the directories, links followed on both sides; blocks.
    ///
    /// - Throws: `notFound`; `invalidArgument` when it lies elsewhere or is not regular.
    init(_ wanted: String, below directories: [String]) throws(BackendError) {
        let resolved = try Self.resolve(wanted)
        guard Self.lies(resolved, below: directories) else {
            throw BackendError(.invalidArgument, "its file is not in a directory that images may come from")
        }
        descriptor = open(resolved, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY)
        guard descriptor >= 0 else { throw FileCalls.failure(Errno(rawValue: errno), resolved) }
        do throws(BackendError) {
            // Directories on the way may have been exchanged for links since.
            path = try Self.target(of: "/proc/self/fd/\(descriptor)")
            guard Self.lies(path, below: directories) else {
                throw BackendError(.invalidArgument, "its file is not in a directory that images may come from")
            }
            guard let status = try FileCalls.status("/proc/self/fd/\(descriptor)"), status.isRegular else {
                throw BackendError(.invalidArgument, "it is no regular file")
            }
            self.status = status
        } catch {
            close(descriptor)
            throw error
        }
    }

    deinit { close(descriptor) }

    private static func lies(_ path: String, below directories: [String]) -> Bool {
        directories.contains { directory in
            guard let directory = try? resolve(directory) else { return false }
            return path.hasPrefix(directory.hasSuffix("/") ? directory : directory + "/")
        }
    }

    private static func resolve(_ path: String) throws(BackendError) -> String {
        guard let resolved = realpath(path, nil) else {
            throw FileCalls.failure(Errno(rawValue: errno), path)
        }
        defer { free(resolved) }
        return String(cString: resolved)
    }

    private static func target(of link: String) throws(BackendError) -> String {
        var bytes = [UInt8](repeating: 0, count: Int(PATH_MAX))
        let count = bytes.withUnsafeMutableBytes { buffer in
            buffer.withMemoryRebound(to: CChar.self) { text in
                text.baseAddress.map { readlink(link, $0, text.count) } ?? -1
            }
        }
        guard count > 0 else { throw FileCalls.failure(Errno(rawValue: errno), link) }
        return String(decoding: bytes.prefix(count), as: UTF8.self)
    }
}

/// Small calls on files of the cache; all block.
enum CacheFiles {
    /// Lets everybody read, so that an unprivileged inspector and an unprivileged QEMU can; nobody writes.
    static func publish(_ path: String) throws(BackendError) {
        guard chmod(path, 0o444) == 0 else { throw FileCalls.failure(Errno(rawValue: errno), path) }
    }

    static func open(_ directory: String) throws(BackendError) {
        guard chmod(directory, 0o755) == 0 else { throw FileCalls.failure(Errno(rawValue: errno), directory) }
    }

    /// Makes the file if need be and sets its time of change to now.
    static func touch(_ path: String) throws(BackendError) {
        let descriptor = Glibc.open(path, O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0o600)
        guard descriptor >= 0 else { throw FileCalls.failure(Errno(rawValue: errno), path) }
        defer { close(descriptor) }
        guard futimens(descriptor, nil) == 0 else { throw FileCalls.failure(Errno(rawValue: errno), path) }
    }

    /// Bytes that may still be written to the file system of a path.
    static func available(_ path: String) throws(BackendError) -> UInt64 {
        var information = statvfs()
        guard statvfs(path, &information) == 0 else { throw FileCalls.failure(Errno(rawValue: errno), path) }
        return UInt64(information.f_bavail) * UInt64(information.f_frsize)
    }

    /// Nanoseconds since 1970.
    static func now() -> Int64 {
        var time = timespec()
        clock_gettime(CLOCK_REALTIME, &time)
        return Int64(time.tv_sec) * 1_000_000_000 + Int64(time.tv_nsec)
    }

    /// The first line of a small file, empty when there is none.
    static func line(_ path: String) -> String {
        let bytes = (try? FileCalls.read(path, offset: 0, count: 256)) ?? []
        return String(decoding: bytes.prefix { $0 != 10 }, as: UTF8.self)
    }
}
