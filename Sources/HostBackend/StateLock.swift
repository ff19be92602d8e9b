import Glibc
import Support

/// Keeps a state directory to one host of one process; given up when closed or when the process ends.
package struct StateLock: ~Copyable {
    private let descriptor: Int32

    /// Throws `unavailable` when another holds it, or when the file cannot be made. Blocks for a moment.
    package init(_ path: String) throws(BackendError) {
        let file = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0o600)
        guard file >= 0 else {
            throw BackendError(.unavailable, "\(SystemCallError("open", errno, path: path))")
        }
        guard flock(file, LOCK_EX | LOCK_NB) == 0 else {
            close(file)
            throw BackendError(.unavailable, "\(path) is held by another worker")
        }
        // Last: once it is set, a throwing initializer runs `deinit`, which would close the number a second time.
        descriptor = file
    }

    deinit {
        // Closing alone is not enough: a child that is being started has the file open for a moment too.
        flock(descriptor, LOCK_UN)
        close(descriptor)
    }
}
