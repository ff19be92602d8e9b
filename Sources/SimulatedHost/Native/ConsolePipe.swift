import CSystemShims
import Glibc
import HostBackend
import SystemPackage

/// The machine's end of a console that somebody reads: the writing end of a pipe.
///
/// A pipe and not a socket, because what its reader has not taken can be taken back: when the reader closes, or the
/// host gives up service, the rest is read here, and the next reader gets it. Each byte is taken once, by either side.
struct ConsolePipe {
    enum Outcome {
        case written(Int)
        /// The pipe is full.
        case blocked
        /// The reader has closed.
        case closed
    }

    let descriptor: Int32
    /// Tells it from the others of its machine.
    let number: UInt64
    /// Bytes written since it was opened.
    private(set) var delivered = 0

    /// Opens a pipe.
    ///
    /// - Returns: the machine's end, and the reader's descriptor, which is the caller's to close.
    static func open(number: UInt64) throws(BackendError) -> (ConsolePipe, reader: Int32) {
        var ends: [Int32] = [-1, -1]
        let result = ends.withUnsafeMutableBufferPointer { pipe2($0.baseAddress, O_CLOEXEC | O_NONBLOCK) }
        guard result == 0 else {
            throw BackendError(.resourceExhausted, "no pipe for the console: \(Errno(rawValue: errno))")
        }
        return (ConsolePipe(descriptor: ends[1], number: number), ends[0])
    }

    private init(descriptor: Int32, number: UInt64) {
        self.descriptor = descriptor
        self.number = number
    }

    /// Writes what fits without waiting.
    mutating func write(_ bytes: ArraySlice<UInt8>) -> Outcome {
        let result = bytes.withUnsafeBytes { Glibc.write(descriptor, $0.baseAddress, $0.count) }
        if result > 0 {
            delivered += result
            return .written(result)
        }
        return errno == EAGAIN || errno == EINTR ? .blocked : .closed
    }

    /// Whether the reader has closed its end.
    var isAbandoned: Bool {
        var query = pollfd(fd: descriptor, events: 0, revents: 0)
        return poll(&query, 1, 0) == 1 && query.revents & Int16(POLLERR) != 0
    }

    /// Takes out what was written and not read. From here on a reader that is still there finds nothing.
    ///
    /// Also right while somebody holds the reader's end open without reading: a child process between its fork and its
    /// exec has a copy of every descriptor.
    func takeUnread() -> [UInt8] {
        var unread: [UInt8] = []
        // Another reading end of the same pipe, whether or not there is one already.
        let end = Glibc.open("/proc/self/fd/\(descriptor)", O_RDONLY | O_NONBLOCK | O_CLOEXEC)
        guard end >= 0 else { return unread }
        defer { _ = Glibc.close(end) }
        while true {
            let waiting = waiting
            guard waiting > 0 else { return unread }
            let bytes = [UInt8](unsafeUninitializedCapacity: waiting) { buffer, filled in
                filled = max(0, read(end, buffer.baseAddress, waiting))
            }
            guard !bytes.isEmpty else { return unread }
            unread += bytes
        }
    }

    func close() { _ = Glibc.close(descriptor) }

    /// Bytes that were written and not read.
    var waiting: Int {
        var amount: Int32 = 0
        return ioctl(descriptor, UInt(FIONREAD), &amount) == 0 ? Int(amount) : 0
    }
}
