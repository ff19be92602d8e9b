import Glibc
import Synchronization

/// A bound, listening socket; closed with its owner unless its descriptor was taken.
final class ListeningSocket: Sendable {
    /// With the real port.
    let address: AdminAddress
    private let descriptor: Mutex<Int32?>
    /// Device and inode of the socket's file, so that only our own is removed.
    private let file: FileIdentity?

    private struct FileIdentity: Equatable {
        var device: UInt
        var inode: UInt

        init?(_ path: String) {
            var facts = stat()
            guard lstat(path, &facts) == 0 else { return nil }
            device = UInt(facts.st_dev)
            inode = UInt(facts.st_ino)
        }
    }

    /// - Throws: ``ObservabilityError`` naming the address and the system's reason.
    init(_ wanted: AdminAddress) throws {
        let resolved = try ResolvedAddress(wanted)
        if case .unix(let path) = wanted { try Self.removeStale(path, resolved) }
        let descriptor = Glibc.socket(resolved.family, Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue), 0)
        guard descriptor >= 0 else { throw Self.failure(wanted, "socket") }
        do {
            try Self.bind(descriptor, resolved, wanted)
            address = try Self.boundAddress(descriptor, wanted)
        } catch {
            close(descriptor)
            throw error
        }
        if case .unix(let path) = wanted { file = FileIdentity(path) } else { file = nil }
        self.descriptor = Mutex(descriptor)
    }

    deinit {
        guard let open = descriptor.withLock({ $0 }) else { return }
        close(open)
        removeFile()
    }

    /// Hands the descriptor over: whoever takes it closes it.
    func takeDescriptor() throws -> Int32 {
        let taken = descriptor.withLock { descriptor in
            defer { descriptor = nil }
            return descriptor
        }
        guard let taken else { throw ObservabilityError(.server, "the admin server was started before") }
        return taken
    }

    /// Removes the socket's file if it is still ours.
    func removeFile() {
        guard case .unix(let path) = address, let file, FileIdentity(path) == file else { return }
        unlink(path)
    }

    private static func bind(_ descriptor: Int32, _ resolved: ResolvedAddress, _ wanted: AdminAddress) throws {
        if case .unix = wanted {
            // Linux gives the file the mode of the socket.
            fchmod(descriptor, 0o600)
        } else {
            var on: Int32 = 1
            setsockopt(descriptor, SOL_SOCKET, SO_REUSEADDR, &on, socklen_t(MemoryLayout<Int32>.size))
        }
        guard resolved.withPointer({ Glibc.bind(descriptor, $0, $1) }) == 0 else { throw failure(wanted, "bind") }
        guard listen(descriptor, 64) == 0 else { throw failure(wanted, "listen") }
    }

    private static func boundAddress(_ descriptor: Int32, _ wanted: AdminAddress) throws -> AdminAddress {
        guard case .tcp(let host, _) = wanted else { return wanted }
        var storage = sockaddr_storage()
        var length = socklen_t(MemoryLayout<sockaddr_storage>.size)
        let result = withUnsafeMutablePointer(to: &storage) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { getsockname(descriptor, $0, &length) }
        }
        guard result == 0 else { throw failure(wanted, "getsockname") }
        // The port is at the same place for both families.
        let port = withUnsafeBytes(of: storage) { UInt16(bigEndian: $0.load(fromByteOffset: 2, as: UInt16.self)) }
        return .tcp(host: host, port: Int(port))
    }

    /// A socket file that refuses connections was left by a process that is gone.
    private static func removeStale(_ path: String, _ resolved: ResolvedAddress) throws {
        guard FileIdentity(path) != nil else { return }
        let probe = Glibc.socket(AF_UNIX, Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue), 0)
        guard probe >= 0 else { return }
        defer { close(probe) }
        let result = resolved.withPointer { connect(probe, $0, $1) }
        if result == 0 { throw ObservabilityError(.address, "another process answers at unix:\(path)") }
        if errno == ECONNREFUSED { unlink(path) }
    }

    private static func failure(_ address: AdminAddress, _ step: String) -> ObservabilityError {
        let reason = String(cString: strerror(errno))
        return ObservabilityError(.address, "the admin server cannot listen on \(address): \(step): \(reason)")
    }
}
