import Glibc
import HostBackend
import Support

/// The listening socket of a monitor, bound by us and handed to QEMU, so that it can be connected to at once and only
/// by us (QEMU backend, section 3.3). Closed with its holder.
struct MonitorSocket: ~Copyable {
    let descriptor: Int32

    /// Binds in place of a socket that an earlier QEMU has left. Throws `invalidArgument` for a path that is too long.
    init(_ path: String) throws(BackendError) {
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        let bytes = Array(path.utf8)
        guard !bytes.isEmpty, bytes.count <= MachineFiles.longestSocketPath, !bytes.contains(0) else {
            throw BackendError(
                .invalidArgument,
                "the path of a socket can have \(MachineFiles.longestSocketPath) bytes, \(path) has \(bytes.count)"
            )
        }
        withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: bytes) }
        let socket = Glibc.socket(AF_UNIX, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
        guard socket >= 0 else { throw Self.failure("socket", path) }
        unlink(path)
        let bound = withUnsafePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                bind(socket, $0, socklen_t(MemoryLayout<sockaddr_un>.size))
            }
        }
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
