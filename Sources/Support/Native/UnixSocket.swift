package import Glibc

/// Stream sockets that have a path.
package enum UnixSocket {
    /// The most that a socket address holds, without the NUL behind it.
    package static let maximumPath = 107

    /// Connects, and closes the socket when a program is executed.
    ///
    /// - Parameter waits: until a full listener has room; otherwise that is `EAGAIN`, and the socket does not block.
    /// - Throws: what `socket` or `connect` said; `ENAMETOOLONG` for a path that no address holds.
    package static func connect(to path: String, waits: Bool = false) throws(SystemCallError) -> Int32 {
        try withAddress(path) { address, length throws(SystemCallError) in
            let mode = waits ? 0 : Int32(SOCK_NONBLOCK.rawValue)
            let descriptor = socket(AF_UNIX, Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue) | mode, 0)
            guard descriptor >= 0 else { throw SystemCallError("socket", errno) }
            guard Glibc.connect(descriptor, address, length) == 0 else {
                let error = SystemCallError("connect", errno, path: path)
                close(descriptor)
                throw error
            }
            return descriptor
        }
    }

    /// Calls `body` with the address of the path, which is valid during the call.
    ///
    /// - Throws: `ENAMETOOLONG` for a path that no address holds, and what `body` throws.
    package static func withAddress<Result>(
        _ path: String,
        _ body: (UnsafePointer<sockaddr>, socklen_t) throws(SystemCallError) -> Result
    ) throws(SystemCallError) -> Result {
        guard path.utf8.count <= maximumPath, !path.utf8.contains(0) else {
            throw SystemCallError("connect", ENAMETOOLONG, path: path)
        }
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: path.utf8) }
        return try withUnsafePointer(to: &address) { pointer throws(SystemCallError) in
            try pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { pointer throws(SystemCallError) in
                try body(pointer, socklen_t(MemoryLayout<sockaddr_un>.size))
            }
        }
    }
}
