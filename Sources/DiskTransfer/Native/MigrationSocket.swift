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
    /// Only looked up under the lock, not used.
    private let session = Mutex<TLSSession?>(nil)

    fileprivate init(descriptor: Int32) {
        self.descriptor = descriptor
        var one: Int32 = 1
        setsockopt(descriptor, Int32(IPPROTO_TCP), TCP_NODELAY, &one, 4)
    }

    deinit { Glibc.close(descriptor) }

    /// Connects within `limit`, which then also is the limit of each call; see ``setLimit(_:)``.
    ///
    /// - Parameters:
    ///   - tls: whether and with what the connection is encrypted.
    ///   - name: what the other side's certificate has to be for; `nil` = its address.
    package static func connect(
        to address: String,
        port: Int,
        limit: Duration,
        tls: MigrationCertificates? = nil,
        name: String? = nil
    ) throws(BackendError) -> MigrationSocket {
        var (place, length, family) = try SocketAddress.resolve(address, port)
        let descriptor = socket(family, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
        guard descriptor >= 0 else { throw failure("socket") }
        let connection = MigrationSocket(descriptor: descriptor)
        connection.setLimit(limit)
        let result = withUnsafePointer(to: &place) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { Glibc.connect(descriptor, $0, length) }
        }
        guard result == 0 else { throw failure("\(address) port \(port)") }
        if let tls {
            let session = try TLSSession(descriptor, .source, tls, peer: name ?? address)
            connection.session.withLock { $0 = session }
            try session.shakeHands()
        }
        return connection
    }

    /// At the destination: encrypts the connection, before anything else is said on it.
    func secure(with certificates: MigrationCertificates) throws(BackendError) {
        let session = try TLSSession(descriptor, .destination, certificates, peer: nil)
        self.session.withLock { $0 = session }
        try session.shakeHands()
    }

    /// At the destination: whether the other side's certificate is for that name; nothing to check without TLS.
    func checkPeer(_ name: String) throws(BackendError) {
        try session.withLock { $0 }?.checkPeer(name)
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
        if let session = session.withLock({ $0 }) { return try session.send(bytes) }
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
        if let session = session.withLock({ $0 }) { return try session.receive(count) }
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

/// Listens for migrations at one address.
final class MigrationListener: Sendable {
    let port: Int
    private let descriptor: Int32

    /// - Parameter ports: which to take a free one of; `nil` = of the kernel's choice.
    init(_ address: String, ports: ClosedRange<Int>?) throws(BackendError) {
        for candidate in ports?.shuffled() ?? [0] {
            guard let listening = try Self.listen(address, candidate) else { continue }
            descriptor = listening
            port = SocketAddress.localPort(listening)
            return
        }
        throw BackendError(.resourceExhausted, "no port is free at \(address)")
    }

    /// - Returns: a listening socket; `nil` when the port is taken.
    private static func listen(_ address: String, _ port: Int) throws(BackendError) -> Int32? {
        var (place, length, family) = try SocketAddress.resolve(address, port)
        let descriptor = socket(family, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
        guard descriptor >= 0 else { throw MigrationSocket.failure("socket") }
        var one: Int32 = 1
        setsockopt(descriptor, SOL_SOCKET, SO_REUSEADDR, &one, 4)
        let result = withUnsafePointer(to: &place) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { bind(descriptor, $0, length) }
        }
        if result == 0, Glibc.listen(descriptor, 64) == 0 { return descriptor }
        let isTaken = errno == EADDRINUSE
        let failure = MigrationSocket.failure("listening at \(address)")
        close(descriptor)
        guard isTaken, port != 0 else { throw failure }
        return nil
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
