import CSystemShims
import Glibc
import HostBackend
import Support

/// Another user that a plugin runs as.
struct PluginUser: Sendable, Hashable {
    let uid: UInt32
    let gid: UInt32

    /// `nil` if there is none.
    init?(named name: String) {
        guard let entry = getpwnam(name) else { return nil }
        uid = entry.pointee.pw_uid
        gid = entry.pointee.pw_gid
    }

    /// Makes a directory the user's own. Blocks.
    func take(_ directory: String) throws(BackendError) {
        try changed(directory) { file in fchown(file, uid, gid) == 0 && fchmod(file, 0o700) == 0 }
    }

    /// Lets the user make files in a directory of ours, and remove or replace none but its own. Blocks.
    func share(_ directory: String) throws(BackendError) {
        try changed(directory) { file in fchown(file, uid_t.max, gid) == 0 && fchmod(file, 0o1770) == 0 }
    }

    /// Lets others pass through a directory of ours, without seeing what is in it. Blocks.
    static func openWay(_ directory: String) throws(BackendError) {
        var information = stat()
        guard stat(directory, &information) == 0, information.st_uid == geteuid(),
            information.st_mode & S_IXOTH == 0
        else { return }
        guard chmod(directory, information.st_mode & 0o7777 | S_IXGRP | S_IXOTH) == 0 else {
            throw BackendError(.unauthorized, "\(SystemCallError("chmod", errno, path: directory))")
        }
    }

    private func changed(_ directory: String, _ change: (Int32) -> Bool) throws(BackendError) {
        // Only a directory of ours is touched, never what a link leads to.
        let file = open(directory, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)
        guard file >= 0 else { throw BackendError(.internal, "\(SystemCallError("open", errno, path: directory))") }
        defer { close(file) }
        guard change(file) else {
            throw BackendError(.unauthorized, "\(SystemCallError("chown", errno, path: directory))")
        }
    }
}

/// Opens what a plugin names as a console.
enum PluginConsolePath {
    /// A descriptor that does not block, for reading.
    ///
    /// - Parameter owner: who it must belong to; `nil` = anybody.
    /// - Throws: `internal` for what is neither FIFO, socket nor pseudo terminal: a plugin must not make the worker
    ///   read other files for it.
    static func open(_ path: String, owner: UInt32?) throws(BackendError) -> Int32 {
        guard path.hasPrefix("/"), !path.utf8.contains(0) else {
            throw BackendError(.internal, "a console's path must be absolute")
        }
        // O_PATH: looks without touching. What was looked at is what is opened then.
        let place = Glibc.open(path, 0o10000000 | O_NOFOLLOW | O_CLOEXEC)
        guard place >= 0 else {
            throw BackendError(.unavailable, "the console cannot be opened: \(SystemCallError("open", errno))")
        }
        defer { close(place) }
        var information = stat()
        guard fstat(place, &information) == 0 else {
            throw BackendError(.unavailable, "\(SystemCallError("fstat", errno))")
        }
        if let owner, information.st_uid != owner {
            throw BackendError(.unauthorized, "the console does not belong to the plugin's user")
        }
        let way = "/proc/self/fd/\(place)"
        switch information.st_mode & S_IFMT {
        case S_IFIFO: return try opened(way)
        // Major numbers of pseudo terminals: 136 to 143 (Linux, devices.txt).
        case S_IFCHR where (136...143).contains(information.st_rdev >> 8 & 0xFFF): return try opened(way)
        case S_IFSOCK: return try connected(way)
        default: throw BackendError(.internal, "the plugin named a console that is none")
        }
    }

    private static func opened(_ path: String) throws(BackendError) -> Int32 {
        let descriptor = Glibc.open(path, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC)
        guard descriptor >= 0 else {
            throw BackendError(.unavailable, "the console cannot be opened: \(SystemCallError("open", errno))")
        }
        return descriptor
    }

    private static func connected(_ path: String) throws(BackendError) -> Int32 {
        do throws(SystemCallError) {
            return try UnixSocket.connect(to: path)
        } catch {
            let reason = SystemCallError("connect", error.number)
            throw BackendError(.unavailable, "the console cannot be reached: \(reason)")
        }
    }
}
