import Glibc
import HostBackend
import Support

/// A TCP socket that listens, to be given away. Closed with its last holder.
final class ListeningSocket: Sendable {
    let descriptor: Int32
    let port: Int

    /// Blocks for a moment.
    ///
    /// - Parameters:
    ///   - address: an IP address of this host's.
    ///   - ports: which to take the first free one of; `nil` = any.
    /// - Throws: `resourceExhausted` when none is free, `invalidArgument` for what is no address of this host's.
    init(_ address: String, ports: ClosedRange<Int>?) throws(BackendError) {
        var hints = addrinfo()
        hints.ai_flags = AI_NUMERICHOST | AI_NUMERICSERV | AI_PASSIVE
        hints.ai_socktype = Int32(SOCK_STREAM.rawValue)
        for port in ports?.shuffled() ?? [0] {
            var list: UnsafeMutablePointer<addrinfo>?
            guard getaddrinfo(address, String(port), &hints, &list) == 0, let place = list?.pointee else {
                throw BackendError(.invalidArgument, "\(address) is not an IP address")
            }
            defer { freeaddrinfo(list) }
            let candidate = socket(place.ai_family, place.ai_socktype | Int32(SOCK_CLOEXEC.rawValue), 0)
            guard candidate >= 0 else {
                throw BackendError(.resourceExhausted, "\(SystemCallError("socket", errno))")
            }
            var one: Int32 = 1
            setsockopt(candidate, SOL_SOCKET, SO_REUSEADDR, &one, socklen_t(MemoryLayout<Int32>.size))
            if bind(candidate, place.ai_addr, place.ai_addrlen) == 0, listen(candidate, 8) == 0 {
                descriptor = candidate
                self.port = Self.port(of: candidate)
                return
            }
            let error = errno
            close(candidate)
            if error == EADDRINUSE { continue }
            throw BackendError(.invalidArgument, "\(SystemCallError("bind", error)) at \(address)")
        }
        throw BackendError(.resourceExhausted, "no port is free at \(address)")
    }

    deinit { close(descriptor) }

    private static func port(of descriptor: Int32) -> Int {
        var place = sockaddr_in6()
        var length = socklen_t(MemoryLayout<sockaddr_in6>.size)
        let result = withUnsafeMutablePointer(to: &place) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { getsockname(descriptor, $0, &length) }
        }
        // The port stands at the same place for both families.
        return result == 0 ? Int(UInt16(bigEndian: place.sin6_port)) : 0
    }
}

enum MigrationAddress {
    /// As it is written before a colon and a port.
    static func bracketed(_ address: String) -> String { address.contains(":") ? "[\(address)]" : address }
}
