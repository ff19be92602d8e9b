/// Where the admin server listens.
package enum AdminAddress: Sendable, Hashable, CustomStringConvertible {
    /// A socket in the file system, made with mode 0600. One that nobody answers any more is replaced.
    case unix(path: String)
    /// A numeric address, IPv6 without brackets; port 0 = any free one.
    case tcp(host: String, port: Int)

    package var description: String {
        switch self {
        case .unix(let path): "unix:\(path)"
        case .tcp(let host, let port): host.contains(":") ? "[\(host)]:\(port)" : "\(host):\(port)"
        }
    }
}
