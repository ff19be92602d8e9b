import Glibc
import Support

/// Keeps a state directory to one host of one process; given up when closed or when the process ends.
package struct StateLock: ~Copyable {
    private let descriptor: Int32

    /// Throws `unavailable` when another holds it, or when the file cannot be made. Blocks for a moment.
    package init(_ path: String) throws(BackendError) {
        descriptor = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0o600)
        guard descriptor >= 0 else {
            throw BackendError(.unavailable, "\(SystemCallError("open", errno, path: path))")
        }
        guard flock(descriptor, LOCK_EX | LOCK_NB) == 0 else {
            close(descriptor)
            throw BackendError(.unavailable, "\(path) is held by another worker")
        }
    }

    deinit {
        // Closing alone is not enough: a child that is being started has the file open for a moment too.
        flock(descriptor, LOCK_UN)
        close(descriptor)
    }
}
