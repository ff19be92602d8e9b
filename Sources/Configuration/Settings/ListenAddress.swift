import Support

/// Where a server of ours listens.
package enum ListenAddress: Sendable, Hashable, CustomStringConvertible {
    /// A socket in the file system, by its absolute path.
    case unix(path: String)
    /// A numeric address, IPv6 without brackets; port 0 = any free one.
    case tcp(host: String, port: Int)

    package var description: String {
        switch self {
        case .unix(let path): "unix:\(path)"
        case .tcp(let host, let port): host.contains(":") ? "[\(host)]:\(port)" : "\(host):\(port)"
        }
    }

    /// Whether only this machine can reach it.
    package var isLocal: Bool {
        switch self {
        case .unix: true
        case .tcp(let host, _): host == "::1" || host.hasPrefix("127.")
        }
    }
}

extension ListenAddress {
    init(parsing text: String) throws(ValueError) {
        if text.hasPrefix("unix:") || text.hasPrefix("/") {
            let path = try ValueParser.path(String(text.hasPrefix("/") ? text[...] : text.dropFirst(5)))
            guard path.utf8.count <= UnixSocket.maximumPath else {
                throw ValueError(
                    "socket path \(ValueParser.quoted(path)) is longer than \(UnixSocket.maximumPath) bytes"
                )
            }
            self = .unix(path: path)
            return
        }
        guard let colon = text.lastIndex(of: ":"), let port = Int(text[text.index(after: colon)...]),
            (0...65535).contains(port)
        else { throw ValueError("\(ValueParser.quoted(text)) is not unix:PATH or host:port") }
        var host = text[..<colon]
        if host.first == "[", host.last == "]" { host = host.dropFirst().dropLast() }
        if host == "localhost" { host = "127.0.0.1" }
        let isIPv6 = host.contains(":") && host.allSatisfy { $0.isHexDigit || $0 == ":" || $0 == "." }
        guard isIPv6 || Self.isIPv4(host) else {
            throw ValueError("\(ValueParser.quoted(String(host))) is not a numeric address")
        }
        self = .tcp(host: String(host), port: port)
    }

    private static func isIPv4(_ text: Substring) -> Bool {
        let parts = text.split(separator: ".", omittingEmptySubsequences: false)
        return parts.count == 4 && parts.allSatisfy { part in UInt8(part) != nil }
    }
}
