import CSystemShims
import Glibc
package import HostBackend
import Support
import Synchronization
import SystemPackage

/// One TCP connection of a migration, used by blocking calls of one thread at a time. Any thread may
/// ``interrupt()`` it; the descriptor is closed when the last user lets go.
package final class MigrationSocket: Sendable {
    private let descriptor: Int32

    fileprivate init(descriptor: Int32) {
        self.descriptor = descriptor
        var one: Int32 = 1
        setsockopt(descriptor, Int32(IPPROTO_TCP), TCP_NODELAY, &one, 4)
    }

    deinit { Glibc.close(descriptor) }

    /// Connects within `limit`, which then also is the limit of each call; see ``setLimit(_:)``.
    package static func connect(to address: String, port: Int, limit: Duration) throws(BackendError) -> MigrationSocket
    {
        var (place, length, family) = try SocketAddress.resolve(address, port)
        let descriptor = socket(family, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
        guard descriptor >= 0 else { throw failure("socket") }
        let connection = MigrationSocket(descriptor: descriptor)
        connection.setLimit(limit)
        let result = withUnsafePointer(to: &place) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { Glibc.connect(descriptor, $0, length) }
        }
        guard result == 0 else { throw failure("\(address) port \(port)") }
        return connection
    }

    /// How long a call may wait for the other side.
    package func setLimit(_ limit: Duration) {
        let (seconds, attoseconds) = limit.components
        var time = timeval(tv_sec: Int(seconds), tv_usec: Int(attoseconds / 1_000_000_000_000))
        setsockopt(descriptor, SOL_SOCKET, SO_RCVTIMEO, &time, socklen_t(MemoryLayout<timeval>.size))
        setsockopt(descriptor, SOL_SOCKET, SO_SNDTIMEO, &time, socklen_t(MemoryLayout<timeval>.size))
    }

    /// Ends every call that waits, now and from now on.
    package func interrupt() { shutdown(descriptor, Int32(SHUT_RDWR)) }

    package func send(_ bytes: [UInt8]) throws(BackendError) {
        var done = 0
        while done < bytes.count {
            let sent = bytes.withUnsafeBytes { buffer in
                Glibc.send(
                    descriptor,
                    UnsafeRawBufferPointer(rebasing: buffer[done...]).baseAddress,
                    buffer.count - done,
                    Int32(MSG_NOSIGNAL)
                )
            }
            if sent < 0, errno == EINTR { continue }
            guard sent > 0 else { throw Self.failure("the migration's connection") }
            done += sent
        }
    }

    package func receive(_ count: Int) throws(BackendError) -> [UInt8] {
        var bytes = [UInt8](repeating: 0, count: count)
        var done = 0
        while done < count {
            let got = bytes.withUnsafeMutableBytes { buffer in
                recv(
                    descriptor,
                    UnsafeMutableRawBufferPointer(rebasing: buffer[done...]).baseAddress,
                    count - done,
                    0
                )
            }
            if got < 0, errno == EINTR { continue }
            guard got != 0 else { throw BackendError(.unavailable, "the other side closed the migration's connection") }
            guard got > 0 else { throw Self.failure("the migration's connection") }
            done += got
        }
        return bytes
    }

    fileprivate static func failure(_ what: String) -> BackendError {
        let isLate = errno == EAGAIN || errno == EINPROGRESS
        return BackendError(
            isLate ? .timeout : .unavailable,
            isLate ? "\(what): nothing went through in time" : "\(what): \(Errno(rawValue: errno))"
        )
    }
}

/// Listens for migrations at one address, a port of the kernel's choice.
final class MigrationListener: Sendable {
    let port: Int
    private let descriptor: Int32

    init(_ address: String) throws(BackendError) {
        var (place, length, family) = try SocketAddress.resolve(address, 0)
        descriptor = socket(family, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
        guard descriptor >= 0 else {
            port = 0
            throw MigrationSocket.failure("socket")
        }
        let descriptor = descriptor
        let result = withUnsafePointer(to: &place) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { bind(descriptor, $0, length) }
        }
        guard result == 0, listen(descriptor, 64) == 0 else {
            port = 0
            throw MigrationSocket.failure("listening at \(address)")
        }
        port = SocketAddress.localPort(descriptor)
    }

    deinit { close(descriptor) }

    /// The next connection; `nil` once stopped.
    func accept() -> MigrationSocket? {
        while true {
            let connection = accept4(descriptor, nil, nil, Int32(SOCK_CLOEXEC.rawValue))
            if connection >= 0 { return MigrationSocket(descriptor: connection) }
            switch errno {
            case EINTR, ECONNABORTED, EAGAIN: continue
            case EMFILE, ENFILE, ENOBUFS, ENOMEM: usleep(100_000)
            default: return nil
            }
        }
    }

    func stop() { shutdown(descriptor, Int32(SHUT_RDWR)) }
}

private enum SocketAddress {
    static func resolve(
        _ address: String,
        _ port: Int
    ) throws(BackendError) -> (sockaddr_storage, socklen_t, Int32) {
        var hints = addrinfo()
        hints.ai_flags = AI_NUMERICHOST | AI_NUMERICSERV
        hints.ai_socktype = Int32(SOCK_STREAM.rawValue)
        var list: UnsafeMutablePointer<addrinfo>?
        guard getaddrinfo(address, String(port), &hints, &list) == 0, let first = list else {
            throw BackendError(.invalidArgument, "\(address) is not an IP address")
        }
        defer { freeaddrinfo(first) }
        var place = sockaddr_storage()
        guard let source = first.pointee.ai_addr else {
            throw BackendError(.invalidArgument, "\(address) is not an IP address")
        }
        // An address of either family is smaller than the storage made for all of them.
        memcpy(&place, source, Int(first.pointee.ai_addrlen))
        return (place, first.pointee.ai_addrlen, first.pointee.ai_family)
    }

    static func localPort(_ descriptor: Int32) -> Int {
        var place = sockaddr_storage()
        var length = socklen_t(MemoryLayout<sockaddr_storage>.size)
        let result = withUnsafeMutablePointer(to: &place) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { getsockname(descriptor, $0, &length) }
        }
        guard result == 0 else { return 0 }
        // The port stands at the same place for both families.
        return withUnsafePointer(to: &place) { pointer in
            pointer.withMemoryRebound(to: sockaddr_in.self, capacity: 1) { Int(UInt16(bigEndian: $0.pointee.sin_port)) }
        }
    }
}
