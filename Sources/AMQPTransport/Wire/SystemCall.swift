import CSystemShims
import Glibc

/// The few system calls of the I/O thread, with Swift values in and out.
enum SystemCall {
    /// The system's text for an `errno` value.
    static func text(_ code: Int32) -> String {
        withUnsafeTemporaryAllocation(of: CChar.self, capacity: 256) { buffer in
            guard let start = buffer.baseAddress, strerror_r(code, start, buffer.count) == 0 else {
                return "error \(code)"
            }
            return String(cString: start)
        }
    }

    static func isReadable(_ path: String) -> Bool { access(path, R_OK) == 0 }
}

/// What `poll` is asked and answers for one descriptor.
struct PollEntry {
    var descriptor: Int32
    var read: Bool
    var write: Bool
    /// Readable, hung up or in error: reading will tell.
    var canRead = false
    var canWrite = false

    init(descriptor: Int32, read: Bool, write: Bool) {
        self.descriptor = descriptor
        self.read = read
        self.write = write
    }
}

/// The I/O thread's way to wait, and everybody's way to end that wait.
final class Poller: Sendable {
    private let wakeup: Int32

    init() throws(TransportError) {
        wakeup = eventfd(0, Int32(EFD_CLOEXEC | EFD_NONBLOCK))
        guard wakeup >= 0 else { throw TransportError(.system, "eventfd: \(SystemCall.text(errno))") }
    }

    deinit { close(wakeup) }

    /// From any thread: makes the present or next ``wait(_:_:timeout:)`` return at once.
    func wake() {
        var one: UInt64 = 1
        // Fails only when the counter is at its end, and then the thread is being woken anyway.
        _ = write(wakeup, &one, 8)
    }

    /// Waits until one of the entries is ready, somebody called ``wake()``, or `timeout` milliseconds have passed
    /// (-1 = for ever). An entry with a negative descriptor is passed over. Returns whether it was woken.
    func wait(_ first: inout PollEntry, _ second: inout PollEntry, timeout: Int32) -> Bool {
        withUnsafeTemporaryAllocation(of: pollfd.self, capacity: 3) { entries in
            entries[0] = Self.entry(first)
            entries[1] = Self.entry(second)
            entries[2] = pollfd(fd: wakeup, events: Int16(POLLIN), revents: 0)
            let ready = poll(entries.baseAddress, 3, timeout)
            guard ready > 0 else { return false }
            Self.result(entries[0], &first)
            Self.result(entries[1], &second)
            guard entries[2].revents != 0 else { return false }
            var count: UInt64 = 0
            _ = read(wakeup, &count, 8)
            return true
        }
    }

    private static func entry(_ entry: PollEntry) -> pollfd {
        let events = (entry.read ? Int16(POLLIN) : 0) | (entry.write ? Int16(POLLOUT) : 0)
        return pollfd(fd: entry.descriptor, events: events, revents: 0)
    }

    private static func result(_ polled: pollfd, _ entry: inout PollEntry) {
        entry.canRead = polled.revents & (Int16(POLLIN) | Int16(POLLERR) | Int16(POLLHUP)) != 0
        entry.canWrite = polled.revents & Int16(POLLOUT) != 0
    }
}
