import Glibc

/// A socket address in the system's form.
struct ResolvedAddress: Sendable {
    private(set) var family: Int32
    private var bytes: [UInt8]

    /// - Throws: ``ObservabilityError`` when the host is not a numeric address or the path is too long.
    init(_ address: AdminAddress) throws {
        switch address {
        case .unix(let path): try self.init(unixPath: path)
        case .tcp(let host, let port): try self.init(host: host, port: port)
        }
    }

    /// - Parameter unixPath: a path, or after `@` a name in Linux' abstract space.
    init(unixPath: String) throws {
        family = AF_UNIX
        var path = Array(unixPath.utf8)
        if path.first == UInt8(ascii: "@") { path[0] = 0 }
        guard !path.isEmpty, path.count < 108, !path.dropFirst().contains(0) else {
            throw ObservabilityError(.address, "\(unixPath) cannot be the path of a socket")
        }
        let isAbstract = path[0] == 0
        bytes = withUnsafeBytes(of: sa_family_t(AF_UNIX)) { Array($0) } + path + (isAbstract ? [] : [0])
    }

    private init(host: String, port: Int) throws {
        guard let port = UInt16(exactly: port) else { throw ObservabilityError(.address, "\(port) is not a port") }
        var four = sockaddr_in()
        var six = sockaddr_in6()
        if inet_pton(AF_INET, host, &four.sin_addr) == 1 {
            four.sin_family = sa_family_t(AF_INET)
            four.sin_port = port.bigEndian
            family = AF_INET
            bytes = withUnsafeBytes(of: four) { Array($0) }
        } else if inet_pton(AF_INET6, host, &six.sin6_addr) == 1 {
            six.sin6_family = sa_family_t(AF_INET6)
            six.sin6_port = port.bigEndian
            family = AF_INET6
            bytes = withUnsafeBytes(of: six) { Array($0) }
        } else {
            throw ObservabilityError(.address, "\(host) is not a numeric address")
        }
    }

    /// Calls the body with the address as the system wants it; the pointer is valid during the call.
    func withPointer<Result>(_ body: (UnsafePointer<sockaddr>, socklen_t) -> Result) -> Result {
        var storage = sockaddr_storage()
        return withUnsafeMutablePointer(to: &storage) { pointer in
            pointer.withMemoryRebound(to: UInt8.self, capacity: MemoryLayout<sockaddr_storage>.size) {
                for (position, byte) in bytes.enumerated() { $0[position] = byte }
            }
            return pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { body($0, socklen_t(bytes.count)) }
        }
    }
}
