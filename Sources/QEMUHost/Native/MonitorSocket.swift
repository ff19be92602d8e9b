import Glibc
import HostBackend
import Support

/// The listening socket of a monitor, bound by us and handed to QEMU, so that it can be connected to at once and only
/// by us (QEMU backend, section 3.3). Closed with its holder.
struct MonitorSocket: ~Copyable {
    let descriptor: Int32

    /// Binds in place of a socket that an earlier QEMU has left. Throws `invalidArgument` for a path that is too long.
    init(_ path: String) throws(BackendError) {
        let count = path.utf8.count
        guard count > 0, count <= UnixSocket.maximumPath, !path.utf8.contains(0) else {
            throw BackendError(
                .invalidArgument,
                "the path of a socket can have \(UnixSocket.maximumPath) bytes, \(path) has \(count)"
            )
        }
        let socket = Glibc.socket(AF_UNIX, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
        guard socket >= 0 else { throw Self.failure("socket", path) }
        unlink(path)
        let bound = try? UnixSocket.withAddress(path) { address, length in bind(socket, address, length) }
        // Nobody can connect before it listens, so the mode is in force in time.
        guard bound == 0, chmod(path, 0o600) == 0, listen(socket, 1) == 0 else {
            let failure = Self.failure("bind", path)
            close(socket)
            throw failure
        }
        descriptor = socket
    }

    deinit { close(descriptor) }

    private static func failure(_ call: String, _ path: String) -> BackendError {
        BackendError(.resourceExhausted, "\(SystemCallError(call, errno, path: path))")
    }
}
