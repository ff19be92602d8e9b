import Glibc
import HostBackend
import Support
import Synchronization

/// How the reading of an endpoint ended.
enum ConsoleEnd: Sendable {
    /// The other side closed it.
    case endOfStream
    /// Nothing more came while draining.
    case quiet
    /// Draining took too long; what may still come is lost.
    case timeout
    case failed(any Error)
}

/// Reads a descriptor on the reactor's thread into a log's buffer, and closes it at the end.
///
/// A guest that prints byte by byte would wake the thread for each: after small reads the descriptor rests, up to
/// 10 ms, so that bytes gather in the kernel; after large ones it does not.
final class DescriptorReader: ReactorHandler {
    private struct State {
        var end: ConsoleEnd?
        var waiting: CheckedContinuation<Void, Never>?
        var isClosed = false
        var bytes = 0
        var isHeldBack = false
        var rest = 0
        var isDraining = false
    }

    private static let rests: [Duration] = [
        .zero, .milliseconds(1), .milliseconds(2), .milliseconds(5), .milliseconds(10),
    ]
    private static let readsAtOnce = 4
    private static let lastReads = 32
    private static let smallBytes = 2 * 1024
    private static let largeBytes = 16 * 1024

    private let descriptor: Int32
    private let log: ConsoleLog
    private let reactor: Reactor
    private let token = ReactorToken()
    private let state = Mutex(State())

    /// Takes over the duty to close `descriptor`.
    init(_ descriptor: ConsoleDescriptor, into log: ConsoleLog, reactor: Reactor) {
        self.descriptor = descriptor.fileDescriptor
        self.log = log
        self.reactor = reactor
    }

    var bytes: Int { state.withLock { $0.bytes } }

    /// Reads until the end, which ``drain(quiet:limit:)`` brings about if the other side does not.
    func run() async -> ConsoleEnd {
        reactor.add(token, descriptor, self)
        await withCheckedContinuation { continuation in
            let isClosed = state.withLock { state in
                if !state.isClosed { state.waiting = continuation }
                return state.isClosed
            }
            if isClosed { continuation.resume() }
        }
        return state.withLock { $0.end } ?? .endOfStream
    }

    /// Ends the reading once nothing came for `quiet`, at the latest after `limit`.
    func drain(quiet: Duration, limit: Duration) {
        let isFirst = state.withLock { state in
            defer { state.isDraining = true }
            return !state.isDraining
        }
        guard isFirst else { return }
        reactor.resume(token)
        reactor.schedule(after: limit) {
            _ = self.readNow()
            self.finish(.timeout)
        }
        checkQuiet(after: quiet, bytes: bytes)
    }

    /// Reads what the kernel holds now, up to a bound that a flooding guest cannot stretch. On a busy host this thread
    /// may not have come to the descriptor at all when the time for draining is over.
    ///
    /// - Returns: how many bytes.
    private func readNow() -> Int {
        var total = 0
        for _ in 0..<Self.lastReads where state.withLock({ $0.end == nil }) {
            guard case .block(let block, let position) = log.buffer.room(onRoom: {}) else { break }
            let result = block.read(from: descriptor, at: position)
            var count = 0
            if case .bytes(let read) = result { count = read }
            log.meet(log.buffer.publish(block, at: position, count: count, time: WallClock.nanoseconds))
            if count == 0 { break }
            total += count
        }
        state.withLock { $0.bytes += total }
        return total
    }

    private func checkQuiet(after quiet: Duration, bytes before: Int) {
        reactor.schedule(after: quiet) {
            let (isOver, isQuiet, bytes) = self.state.withLock { state in
                (state.end != nil, state.bytes == before && !state.isHeldBack, state.bytes)
            }
            if isOver { return }
            if isQuiet, self.readNow() == 0 {
                self.finish(.quiet)
            } else {
                self.checkQuiet(after: quiet, bytes: bytes)
            }
        }
    }

    // MARK: - On the reactor's thread

    func ready() -> ReactorVerdict {
        var total = 0
        for _ in 0..<Self.readsAtOnce {
            switch log.buffer.room(onRoom: { self.goOn() }) {
            case .full:
                state.withLock { $0.isHeldBack = true }
                log.limitStall()
                return .pause
            case .block(let block, let position):
                let result = block.read(from: descriptor, at: position)
                var count = 0
                if case .bytes(let read) = result { count = read }
                log.meet(log.buffer.publish(block, at: position, count: count, time: WallClock.nanoseconds))
                switch result {
                case .bytes:
                    total += count
                    state.withLock { $0.bytes += count }
                    if position + count < block.capacity { return verdict(total) }
                case .wouldBlock:
                    return verdict(total)
                case .end:
                    finish(.endOfStream)
                    return .remove
                case .failed(let error):
                    finish(.failed(error))
                    return .remove
                }
            }
        }
        return verdict(total)
    }

    func refused(_ error: SystemCallError) { finish(.failed(error)) }

    private func goOn() {
        state.withLock { $0.isHeldBack = false }
        reactor.resume(token)
    }

    private func verdict(_ bytes: Int) -> ReactorVerdict {
        let rest = state.withLock { state in
            if bytes >= Self.largeBytes {
                state.rest = 0
            } else if bytes < Self.smallBytes {
                state.rest = min(state.rest + 1, Self.rests.count - 1)
            }
            return state.isDraining ? 0 : state.rest
        }
        return rest == 0 ? .again : .rest(Self.rests[rest])
    }

    private func finish(_ end: ConsoleEnd) {
        let isFirst = state.withLock { state in
            guard state.end == nil else { return false }
            state.end = end
            return true
        }
        guard isFirst else { return }
        reactor.remove(token) {
            close(self.descriptor)
            let waiting = self.state.withLock { state in
                defer { state.waiting = nil }
                state.isClosed = true
                return state.waiting
            }
            waiting?.resume()
        }
    }
}
