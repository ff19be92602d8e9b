import CSystemShims
import Glibc
import Support

/// Pipes and sockets towards a plugin: ours never wait and raise no signal.
enum Descriptors {
    /// Both ends are closed when a program is executed; ours does not block.
    static func pipe(ours: KeyPath<PipeEnds, Int32>) throws(SystemCallError) -> PipeEnds {
        var ends: [Int32] = [-1, -1]
        guard pipe2(&ends, O_CLOEXEC) == 0 else { throw SystemCallError("pipe2", errno) }
        let both = PipeEnds(reading: ends[0], writing: ends[1])
        setNonblocking(both[keyPath: ours])
        return both
    }

    static func setNonblocking(_ descriptor: Int32) {
        _ = fcntl(descriptor, F_SETFL, fcntl(descriptor, F_GETFL) | O_NONBLOCK)
    }

    /// Connects to a Unix socket.
    static func connect(_ path: String) throws(SystemCallError) -> Int32 {
        let descriptor = try UnixSocket.connect(to: path, waits: true)
        setNonblocking(descriptor)
        return descriptor
    }

    /// What a read without waiting brings: bytes, `nil` when there is nothing yet, and none at the end.
    static func read(_ descriptor: Int32) -> [UInt8]? {
        while true {
            var failure: Int32 = 0
            let bytes = [UInt8](unsafeUninitializedCapacity: 1 << 16) { buffer, filled in
                let count = Glibc.read(descriptor, buffer.baseAddress, buffer.count)
                if count < 0 { failure = errno }
                filled = max(0, count)
            }
            if failure == EINTR { continue }
            return failure == EAGAIN ? nil : bytes
        }
    }

    /// Writes what there is room for, without waiting; `nil` once nobody reads any more. A broken pipe raises no signal.
    static func write(_ descriptor: Int32, _ bytes: ArraySlice<UInt8>) -> Int? {
        var blocked = sigset_t()
        var previous = sigset_t()
        sigemptyset(&blocked)
        sigaddset(&blocked, SIGPIPE)
        pthread_sigmask(SIG_BLOCK, &blocked, &previous)
        defer { pthread_sigmask(SIG_SETMASK, &previous, nil) }
        while true {
            let count = bytes.withUnsafeBytes { Glibc.write(descriptor, $0.baseAddress, $0.count) }
            if count >= 0 { return count }
            switch errno {
            case EINTR: continue
            case EAGAIN: return 0
            case EPIPE:
                var now = timespec()
                _ = sigtimedwait(&blocked, nil, &now)
                return nil
            default: return nil
            }
        }
    }
}

struct PipeEnds: Sendable {
    let reading: Int32
    let writing: Int32
}
