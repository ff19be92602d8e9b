import Glibc

/// What was read from a socket and not decoded yet.
///
/// Confined to the thread that owns it. Its size is fixed: what does not fit stays in the socket until the next turn.
final class InputBuffer {
    private let storage: UnsafeMutableRawPointer
    private let capacity: Int
    private var start = 0
    private var end = 0

    init(capacity: Int) {
        self.capacity = capacity
        storage = .allocate(byteCount: capacity, alignment: 16)
    }

    deinit { storage.deallocate() }

    var isEmpty: Bool { start == end }

    /// What waits to be decoded; valid until the buffer is filled again.
    var readable: UnsafeRawBufferPointer { UnsafeRawBufferPointer(start: storage + start, count: end - start) }

    func consume(_ count: Int) { start += count }

    /// Reads once, without waiting, into the empty buffer; `false` when nothing has come.
    func fill(from descriptor: Int32) throws(TransportError) -> Bool {
        while true {
            let count = recv(descriptor, storage, capacity, Int32(MSG_DONTWAIT))
            if count > 0 {
                start = 0
                end = count
                return true
            }
            if count == 0 { throw TransportError(.connectionLost, "the broker ended the connection") }
            switch errno {
            case EINTR: continue
            case EAGAIN, EWOULDBLOCK: return false
            default: throw TransportError(.connectionLost, "cannot read: \(SystemCall.text(errno))")
            }
        }
    }
}
