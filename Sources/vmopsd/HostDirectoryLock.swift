import Glibc
import Support

/// Keeps a host's directory to one process for as long as it lives: journals close their files while they are idle, and
/// then nothing of theirs would keep a second process out. The kernel gives it up when the process ends, however it
/// does.
final class HostDirectoryLock: Sendable {
    private let descriptor: Int32

    /// - Throws: when another process has the directory, or the file `lock` in it cannot be made.
    init(_ directory: String) throws {
        let path = directory + "/lock"
        descriptor = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0o600)
        guard descriptor >= 0 else { throw FileError("open", path) }
        // When this throws, `deinit` closes the file.
        guard flock(descriptor, LOCK_EX | LOCK_NB) == 0 else { throw DirectoryInUse(directory: directory) }
    }

    deinit {
        // Closing alone is not enough: a child that is being started has the file open for a moment too.
        flock(descriptor, LOCK_UN)
        close(descriptor)
    }
}

/// Another process serves the host from the same directory.
struct DirectoryInUse: Error, CustomStringConvertible {
    let directory: String

    var description: String { "\(directory) is in use by another process" }
}
