import CSystemShims
import Glibc

/// The reading end of a pipe whose bytes go into files inside the kernel.
///
/// Such a move is never half done for anybody outside: a byte is in the pipe or in the file, also when this process is
/// killed in the middle. While it lasts, whoever writes to the pipe waits, so it takes as long as the file system needs
/// to accept the bytes. The caller keeps the descriptor open, and is the only reader.
package struct ReactorPipe: Sendable {
    /// What one call brought.
    package enum Outcome<Value: Sendable & Equatable>: Sendable, Equatable {
        case got(Value)
        case empty
        /// Empty, and nobody has it open for writing.
        case end
    }

    /// `SPLICE_F_NONBLOCK` of <fcntl.h>, which shows it to GNU programs only.
    private static let nonblocking: UInt32 = 2

    package let descriptor: Int32

    /// `nil` if the descriptor is not a pipe or FIFO.
    package init?(_ descriptor: Int32) {
        var status = stat()
        guard fstat(descriptor, &status) == 0, status.st_mode & S_IFMT == S_IFIFO else { return nil }
        self.descriptor = descriptor
    }

    /// Whether there is anything in it, and if not, whether there ever may be.
    package var look: Outcome<Int> {
        var waiting: Int32 = 0
        if ioctl(descriptor, UInt(FIONREAD), &waiting) == 0, waiting > 0 { return .got(Int(waiting)) }
        var query = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
        let isOver = poll(&query, 1, 0) == 1 && query.revents & Int16(POLLIN) == 0
        return isOver && query.revents & Int16(POLLHUP) != 0 ? .end : .empty
    }

    /// Moves up to `count` bytes to the file's position. Fewer mean that the pipe was empty then.
    ///
    /// - Throws: `EINVAL` if the file system cannot do it; no byte is lost by any error.
    package func move(_ count: Int, to file: ReactorFile) throws(SystemCallError) -> Outcome<Int> {
        while true {
            let moved = splice(descriptor, nil, file.descriptor, nil, count, Self.nonblocking)
            if moved > 0 { return .got(moved) }
            if moved == 0 { return .end }
            switch errno {
            case EINTR: continue
            case EAGAIN: return .empty
            default: throw SystemCallError("splice", errno, path: file.path)
            }
        }
    }

    /// A copy of the next bytes, at most `count` and 64 KiB, which stay in the pipe.
    package func peek(_ count: Int) throws(SystemCallError) -> Outcome<[UInt8]> {
        var ends: [Int32] = [-1, -1]
        guard pipe2(&ends, O_CLOEXEC | O_NONBLOCK) == 0 else { throw SystemCallError("pipe2", errno) }
        defer { for end in ends { close(end) } }
        while true {
            let copied = tee(descriptor, ends[1], min(count, 64 * 1024), Self.nonblocking)
            if copied == 0 { return .end }
            if copied > 0 {
                let bytes = [UInt8](unsafeUninitializedCapacity: copied) { buffer, filled in
                    // All of them are there, and a pipe hands them over at once.
                    filled = max(0, read(ends[0], buffer.baseAddress, copied))
                }
                return .got(bytes)
            }
            switch errno {
            case EINTR: continue
            case EAGAIN: return .empty
            default: throw SystemCallError("tee", errno)
            }
        }
    }
}
