import DiskImages
import Glibc
import HostBackend
import SystemPackage

/// A lock among all processes that share a directory, held until the last reference goes; the
/// kernel lets go of it when the process dies.
///
/// `flock` on a small file. The file may be removed by whoever holds it exclusively, so a lock counts only when the
/// path still leads to the locked file.
final class FileLock: Sendable {
    enum Kind: Sendable {
        case shared, exclusive
    }

    private let descriptor: Int32

    private init(descriptor: Int32) { self.descriptor = descriptor }

    deinit {
        // Closing alone is not enough: a child that is being started has the file open for a moment too.
        flock(descriptor, LOCK_UN)
        close(descriptor)
    }

    /// Takes the lock if nobody is in the way; blocks for moments only.
    ///
    /// - Returns: `nil` when another holder is.
    static func attempt(_ path: String, _ kind: Kind) throws(BackendError) -> FileLock? {
        while true {
            let descriptor = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0o600)
            guard descriptor >= 0 else { throw FileCalls.failure(Errno(rawValue: errno), path) }
            let lock = FileLock(descriptor: descriptor)
            guard flock(descriptor, (kind == .shared ? LOCK_SH : LOCK_EX) | LOCK_NB) == 0 else {
                if errno == EWOULDBLOCK || errno == EINTR { return nil }
                throw FileCalls.failure(Errno(rawValue: errno), path)
            }
            var mine = stat()
            var present = stat()
            guard fstat(descriptor, &mine) == 0 else { throw FileCalls.failure(Errno(rawValue: errno), path) }
            if stat(path, &present) == 0, present.st_ino == mine.st_ino, present.st_dev == mine.st_dev { return lock }
        }
    }
}
