import Glibc
import HostBackend
import SystemPackage

/// Keeps a state directory to one host of one process; given up when closed or when the process ends.
struct StateLock: ~Copyable {
    private let descriptor: Int32

    init(_ path: String) throws(BackendError) {
        descriptor = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0o600)
        guard descriptor >= 0 else {
            throw BackendError(.unavailable, "\(path): \(Errno(rawValue: errno))")
        }
        guard flock(descriptor, LOCK_EX | LOCK_NB) == 0 else {
            close(descriptor)
            throw BackendError(.unavailable, "\(path) is held by another worker")
        }
    }

    deinit { close(descriptor) }
}
