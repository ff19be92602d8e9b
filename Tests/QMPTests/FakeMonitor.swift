import CSystemShims
import Glibc
import Support
import TestSupport

/// A UNIX socket on which a test plays a monitor that misbehaves. Its calls block on a thread of their own.
final class FakeMonitor: Sendable {
    static let greeting =
        #"{"QMP":{"version":{"qemu":{"micro":22,"minor":2,"major":7},"package":""},"capabilities":[]}}"#

    let path: String
    private let listener: Int32
    private let pool = BlockingPool(label: "fake-monitor", width: 1)

    init(_ path: String, backlog: Int32 = 4) throws {
        self.path = path
        listener = try UnixListener.open(path, backlog: backlog)
    }

    deinit { close(listener) }

    /// Waits for a client.
    func accept() async throws -> FakePeer {
        let listener = listener
        return try await pool.run {
            let descriptor = Glibc.accept(listener, nil, nil)
            guard descriptor >= 0 else { throw SystemCallError("accept", errno) }
            return FakePeer(descriptor)
        }
    }

    /// Waits for a client and does what QEMU does first.
    func acceptAndGreet() async throws -> FakePeer {
        let peer = try await accept()
        try peer.send(Self.greeting)
        let command = try await peer.line()
        guard command.contains("qmp_capabilities") else { throw ConditionNotMet(description: "got \(command)") }
        try peer.send(#"{"return": {}, "id": 0}"#)
        return peer
    }
}

/// The monitor's end of a connection.
final class FakePeer: Sendable {
    private let descriptor: Int32
    private let pool = BlockingPool(label: "fake-peer", width: 1)

    init(_ descriptor: Int32) { self.descriptor = descriptor }

    deinit { close(descriptor) }

    func send(_ line: String) throws { try sendPiece(line + "\r\n") }

    func sendPiece(_ text: String) throws {
        var rest = Array(text.utf8)[...]
        while !rest.isEmpty {
            let count = rest.withUnsafeBytes {
                Glibc.send(descriptor, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL))
            }
            guard count > 0 else { throw SystemCallError("send", errno) }
            rest = rest.dropFirst(count)
        }
    }

    /// The next line, without its end; throws at the end of the stream.
    func line() async throws -> String {
        let descriptor = descriptor
        return try await pool.run {
            var line: [UInt8] = []
            var byte: UInt8 = 0
            while read(descriptor, &byte, 1) == 1 {
                if byte == UInt8(ascii: "\n") { return String(decoding: line, as: UTF8.self) }
                line.append(byte)
            }
            throw SystemCallError("read", errno)
        }
    }

    /// Ends the connection; unread input makes it a reset.
    func hangUp() { shutdown(descriptor, Int32(SHUT_RDWR)) }
}

enum UnixListener {
    static func open(_ path: String, backlog: Int32) throws -> Int32 {
        let descriptor = socket(AF_UNIX, Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue), 0)
        guard descriptor >= 0 else { throw SystemCallError("socket", errno) }
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: path.utf8) }
        let status = withUnsafePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                bind(descriptor, $0, socklen_t(MemoryLayout<sockaddr_un>.size))
            }
        }
        guard status == 0, listen(descriptor, backlog) == 0 else { throw SystemCallError("listen", errno, path: path) }
        return descriptor
    }
}
