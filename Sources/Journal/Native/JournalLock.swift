import Glibc

/// Keeps a journal to one process for as long as it is held, also while the database's own file is closed: a lock on a
/// file beside it, `<path>.lock`, which stays. The kernel gives it up when the process ends, however it does.
struct JournalLock: ~Copyable, Sendable {
    private let descriptor: Int32

    /// - Throws: ``JournalError`` `locked` when somebody has it, `open` when the file cannot be made.
    init(journal path: String) throws {
        let lockPath = path + ".lock"
        descriptor = open(lockPath, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0o600)
        guard descriptor >= 0 else {
            throw JournalError(.open, "journal \(path) cannot be opened: \(String(cString: strerror(errno)))")
        }
        guard flock(descriptor, LOCK_EX | LOCK_NB) == 0 else {
            close(descriptor)
            throw JournalError(.locked, "journal \(path) is open in another process")
        }
    }

    deinit { close(descriptor) }
}
