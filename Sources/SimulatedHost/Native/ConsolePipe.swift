import CSystemShims
import Glibc
import HostBackend
import SystemPackage

/// The machine's end of a console that somebody reads: the writing end of a pipe.
///
/// A pipe and not a socket, because a pipe tells exactly how many bytes its reader has not taken: when the reader
/// closes, they are given back, and the next reader gets them.
struct ConsolePipe {
    enum Outcome {
        case written(Int)
        /// The pipe is full.
        case blocked
        /// The reader has closed.
        case closed
    }

    let descriptor: Int32
    /// Written bytes that may not have been read yet.
    private var unread: [UInt8] = []
    private var unreadStart = 0
    /// Bytes written since it was opened.
    private(set) var delivered = 0

    /// Opens a pipe.
    ///
    /// - Returns: the machine's end, and the reader's descriptor, which is the caller's to close.
    static func open() throws(BackendError) -> (ConsolePipe, reader: Int32) {
        var ends: [Int32] = [-1, -1]
        let result = ends.withUnsafeMutableBufferPointer { pipe2($0.baseAddress, O_CLOEXEC | O_NONBLOCK) }
        guard result == 0 else {
            throw BackendError(.resourceExhausted, "no pipe for the console: \(Errno(rawValue: errno))")
        }
        return (ConsolePipe(descriptor: ends[1]), ends[0])
    }

    private init(descriptor: Int32) { self.descriptor = descriptor }

    /// Writes what fits without waiting.
    mutating func write(_ bytes: ArraySlice<UInt8>) -> Outcome {
        let result = bytes.withUnsafeBytes { Glibc.write(descriptor, $0.baseAddress, $0.count) }
        if result > 0 {
            remember(bytes.prefix(result))
            return .written(result)
        }
        return errno == EAGAIN || errno == EINTR ? .blocked : .closed
    }

    /// Whether the reader has closed its end.
    var isAbandoned: Bool {
        var query = pollfd(fd: descriptor, events: 0, revents: 0)
        return poll(&query, 1, 0) == 1 && query.revents & Int16(POLLERR) != 0
    }

    /// What was written and will never be read, once the reader has closed.
    mutating func takeUnread() -> ArraySlice<UInt8> {
        let amount = min(waiting, unread.count - unreadStart)
        return unread[(unread.count - amount)...]
    }

    func close() { _ = Glibc.close(descriptor) }

    private var waiting: Int {
        var amount: Int32 = 0
        return ioctl(descriptor, UInt(FIONREAD), &amount) == 0 ? Int(amount) : 0
    }

    private mutating func remember(_ bytes: ArraySlice<UInt8>) {
        delivered += bytes.count
        unread.append(contentsOf: bytes)
        unreadStart = unread.count - min(waiting, unread.count - unreadStart)
        guard unreadStart > 16 << 10 || unreadStart == unread.count else { return }
        unread.removeFirst(unreadStart)
        unreadStart = 0
    }
}
