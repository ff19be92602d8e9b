import Glibc
import Support

/// Commands on their way to the monitor, in order. Descriptors that wait are duplicates of our own.
struct QMPOutbox: Sendable {
    /// The most bytes that wait for room in the socket; a command beyond is not sent.
    static let limit = 4 << 20

    private struct Message {
        var rest: ArraySlice<UInt8>
        var descriptor: Int32
    }

    private var waiting: [Message] = []
    private var bytes = 0

    var isEmpty: Bool { waiting.isEmpty }

    /// Sends or keeps. `descriptor` stays the caller's.
    ///
    /// - Returns: false when there is no room, and nothing was kept.
    mutating func send(
        _ message: [UInt8],
        descriptor: Int32,
        on socket: MonitorSocket
    ) throws(SystemCallError) -> Bool {
        guard bytes + message.count <= Self.limit else { return false }
        var rest = message[...]
        var passed = descriptor
        if waiting.isEmpty {
            let sent = try socket.send(rest, descriptor: passed).get()
            if sent > 0 { passed = -1 }
            rest = rest.dropFirst(sent)
            if rest.isEmpty { return true }
        }
        if passed >= 0 {
            passed = MonitorSocket.duplicate(passed)
            guard passed >= 0 else { throw SystemCallError("fcntl", errno) }
        }
        waiting.append(Message(rest: rest, descriptor: passed))
        bytes += rest.count
        return true
    }

    /// Sends what there is room for.
    mutating func flush(on socket: MonitorSocket) throws(SystemCallError) {
        while let first = waiting.first {
            let sent = try socket.send(first.rest, descriptor: first.descriptor).get()
            if sent == 0 { return }
            if first.descriptor >= 0 { Glibc.close(first.descriptor) }
            bytes -= sent
            waiting[0] = Message(rest: first.rest.dropFirst(sent), descriptor: -1)
            if waiting[0].rest.isEmpty { waiting.removeFirst() }
        }
    }

    mutating func discard() {
        for message in waiting where message.descriptor >= 0 { Glibc.close(message.descriptor) }
        waiting = []
        bytes = 0
    }
}
