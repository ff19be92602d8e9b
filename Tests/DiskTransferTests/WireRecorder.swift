import Foundation
import Glibc
import Synchronization
import TestSupport

/// A relay in front of a port of 127.0.0.1 that keeps what went through it to that port. Serves one connection.
final class WireRecorder: Sendable {
    let port: Int
    private let listener: Int32
    private let recorded = Mutex(Data())

    init(to target: Int) throws {
        let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        var place = Self.place(0)
        var length = socklen_t(MemoryLayout<sockaddr_in>.size)
        let bound = withUnsafeMutablePointer(to: &place) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                bind(descriptor, $0, length) == 0 && listen(descriptor, 1) == 0
                    && getsockname(descriptor, $0, &length) == 0
            }
        }
        listener = descriptor
        port = Int(UInt16(bigEndian: place.sin_port))
        guard bound else { throw ConditionNotMet(description: "no port for the recorder") }
        // Ends with the connection, or with the listener.
        Thread.detachNewThread { [self] in serve(target) }
    }

    deinit { close(listener) }

    func stop() { shutdown(listener, Int32(SHUT_RDWR)) }

    var bytes: Data { recorded.withLock { $0 } }

    private static func place(_ port: Int) -> sockaddr_in {
        var place = sockaddr_in()
        place.sin_family = sa_family_t(AF_INET)
        place.sin_port = UInt16(port).bigEndian
        place.sin_addr.s_addr = inet_addr("127.0.0.1")
        return place
    }

    private func serve(_ target: Int) {
        let client = accept(listener, nil, nil)
        guard client >= 0 else { return }
        let server = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        var place = Self.place(target)
        let connected = withUnsafePointer(to: &place) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                connect(server, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
            }
        }
        guard connected == 0 else { return }
        Thread.detachNewThread { Self.copy(server, client) { _ in } }
        Self.copy(client, server) { chunk in self.recorded.withLock { $0.append(contentsOf: chunk) } }
    }

    private static func copy(_ from: Int32, _ to: Int32, _ note: (ArraySlice<UInt8>) -> Void) {
        var buffer = [UInt8](repeating: 0, count: 64 << 10)
        while true {
            let count = recv(from, &buffer, buffer.count, 0)
            guard count > 0 else { break }
            note(buffer[..<count])
            var done = 0
            while done < count {
                let sent = buffer[done..<count].withUnsafeBytes {
                    send(to, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL))
                }
                guard sent > 0 else { break }
                done += sent
            }
        }
        shutdown(from, Int32(SHUT_RDWR))
        shutdown(to, Int32(SHUT_RDWR))
    }
}
