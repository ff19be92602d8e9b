import Glibc
import Synchronization

/// The descriptor a log goes to. Used by the sink's queue alone, apart from ``failures``.
final class LogOutput: Sendable {
    private let destination: LogSink.Destination
    private let descriptor: Mutex<Int32>
    private let failureCount = Atomic<Int>(0)

    init(_ destination: LogSink.Destination) throws {
        self.destination = destination
        switch destination {
        case .standardError: descriptor = Mutex(STDERR_FILENO)
        case .descriptor(let given): descriptor = Mutex(given)
        case .file(let path): descriptor = Mutex(try Self.open(path))
        }
    }

    deinit {
        if case .file = destination { close(descriptor.withLock { $0 }) }
    }

    var failures: Int { failureCount.load(ordering: .relaxed) }

    /// Writes all of it, waiting where the descriptor does not block; what cannot be written is counted and given up.
    func write(_ bytes: [UInt8]) {
        let descriptor = descriptor.withLock { $0 }
        var done = 0
        while done < bytes.count {
            let count = bytes[done...].withUnsafeBytes { Glibc.write(descriptor, $0.baseAddress, $0.count) }
            if count > 0 {
                done += count
            } else if count < 0, errno == EINTR {
                continue
            } else if count < 0, errno == EAGAIN, Self.waitUntilWritable(descriptor) {
                continue
            } else {
                failureCount.add(1, ordering: .relaxed)
                return
            }
        }
    }

    func reopen() {
        guard case .file(let path) = destination else { return }
        guard let fresh = try? Self.open(path) else {
            failureCount.add(1, ordering: .relaxed)
            return
        }
        let old = descriptor.withLock { descriptor in
            let old = descriptor
            descriptor = fresh
            return old
        }
        close(old)
    }

    private static func open(_ path: String) throws -> Int32 {
        let descriptor = Glibc.open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOCTTY, 0o600)
        guard descriptor >= 0 else {
            throw ObservabilityError(.logFile, "log file \(path) cannot be opened: \(String(cString: strerror(errno)))")
        }
        return descriptor
    }

    /// At most ten seconds: a reader that is stuck longer costs lines, not the whole log.
    private static func waitUntilWritable(_ descriptor: Int32) -> Bool {
        var entry = pollfd(fd: descriptor, events: Int16(POLLOUT), revents: 0)
        return poll(&entry, 1, 10_000) > 0 && entry.revents & Int16(POLLOUT) != 0
    }
}
