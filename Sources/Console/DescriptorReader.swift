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

/// Brings what a descriptor delivers into a log, and closes it at the end. The reactor tells when there is something.
///
/// There are two ways. The bytes of a pipe are moved straight into the segments, on the log's strand: *direct*. Those
/// of anything else are read into the log's buffer on the reactor's thread, and so are a pipe's while the log cannot be
/// written or still has to write what came that way. Only the strand takes bytes as long as the way is direct, only the
/// reactor's thread while it is not, so their order is kept.
///
/// A guest that prints byte by byte would wake the threads for each: after little the descriptor rests, up to 50 ms,
/// so that bytes gather in the kernel; after much it does not, and neither does the first output after a silence.
///
/// A pipe that has been silent for long is given up if the machine's side agrees, and another one taken when there is
/// something again: see ``rest()``.
final class DescriptorReader: ReactorHandler {
    fileprivate struct State {
        var end: ConsoleEnd?
        var waiting: CheckedContinuation<Void, Never>?
        var isClosed = false
        var bytes = 0
        var isHeldBack = false
        var pace = ConsolePace()
        var isDraining = false
        /// `nil` for what is not a pipe, or lies on a file system that takes nothing from one.
        var pipe: ReactorPipe?
        var isDirect = false
        /// The strand has been asked to take what there is.
        var isTaking = false
        /// -1 while it is given up, or for good at the end.
        var descriptor: Int32
        var token = ReactorToken()
        var silence: (any ConsoleSilence)?
        /// Given up, or about to be.
        var isResting = false
    }

    private enum Step { case wait, take, gather(Duration), read }

    private static let readsAtOnce = 4
    private static let lastReads = 32

    private let log: ConsoleLog
    private let reactor: Reactor
    private let state: Mutex<State>

    /// Takes over the duty to close `descriptor`.
    init(_ descriptor: ConsoleDescriptor, into log: ConsoleLog, reactor: Reactor) {
        self.log = log
        self.reactor = reactor
        state = Mutex(
            State(
                pipe: ReactorPipe(descriptor.fileDescriptor),
                descriptor: descriptor.fileDescriptor,
                silence: descriptor.silence
            )
        )
    }

    var bytes: Int { state.withLock { $0.bytes } }

    /// Whether nothing more is taken, and the descriptor is or will be closed.
    var isOver: Bool { state.withLock { $0.end != nil } }

    /// The pipe, as long as its bytes go straight into the segments. Asked on the strand.
    var directPipe: ReactorPipe? {
        state.withLock { $0.isDirect && $0.end == nil && !$0.isResting ? $0.pipe : nil }
    }

    /// Reads until the end, which ``drain(quiet:limit:)`` brings about if the other side does not.
    func run() async -> ConsoleEnd {
        log.attach(self)
        state.withLock { reactor.add($0.token, $0.descriptor, self) }
        await withCheckedContinuation { continuation in
            let isClosed = state.withLock { state in
                if !state.isClosed { state.waiting = continuation }
                return state.isClosed
            }
            if isClosed { continuation.resume() }
        }
        return state.withLock { $0.end } ?? .endOfStream
    }

    // MARK: - Draining

    /// Ends the reading once nothing came for `quiet`, at the latest after `limit`.
    func drain(quiet: Duration, limit: Duration) {
        let isFirst = state.withLock { state in
            defer { state.isDraining = true }
            return !state.isDraining
        }
        guard isFirst else { return }
        resume()
        reactor.schedule(after: limit) {
            self.readNow { _ in self.finish(.timeout) }
        }
        checkQuiet(after: quiet, bytes: bytes)
    }

    private func checkQuiet(after quiet: Duration, bytes before: Int) {
        reactor.schedule(after: quiet) {
            let (isOver, isQuiet, bytes) = self.state.withLock { state in
                (
                    state.end != nil, state.bytes == before && !state.isHeldBack && !state.isTaking,
                    state.bytes
                )
            }
            if isOver { return }
            guard isQuiet else { return self.checkQuiet(after: quiet, bytes: bytes) }
            self.readNow { count in
                if count == 0 { self.finish(.quiet) } else { self.checkQuiet(after: quiet, bytes: bytes + count) }
            }
        }
    }

    /// Reads what the kernel holds now, up to a bound that a flooding guest cannot stretch, and tells how many bytes.
    /// On a busy host the threads may not have come to the descriptor at all when the time for draining is over.
    private func readNow(_ then: @escaping @Sendable (Int) -> Void) {
        let isClear = log.isClear
        let (isDirect, isResting) = state.withLock { state in
            // Nothing has come through memory yet, or all of it has been written.
            if state.pipe != nil, isClear { state.isDirect = true }
            return (state.isDirect, state.isResting)
        }
        if isResting { return then(0) }
        guard isDirect else { return then(readLast()) }
        log.take(from: self) { count, taken in
            self.took(count)
            self.learn(taken)
            then(count)
        }
    }

    private func readLast() -> Int {
        var total = 0
        for _ in 0..<Self.lastReads where state.withLock({ $0.end == nil }) {
            guard case .block(let block, let position) = log.buffer.room(onRoom: {}) else { break }
            let (result, count) = read(block, position)
            total += count
            guard case .bytes = result else { break }
        }
        return total
    }

    // MARK: - On the reactor's thread

    func ready() -> ReactorVerdict { advance(mayGather: true) }

    func gathered() -> ReactorVerdict { advance(mayGather: false) }

    func refused(_ error: SystemCallError) { finish(.failed(error)) }

    private func advance(mayGather: Bool) -> ReactorVerdict {
        let isClear = state.withLock { $0.pipe != nil && !$0.isDirect } && log.isClear
        let now = MonotonicClock.now
        let step = state.withLock { state -> Step in
            if state.end != nil || state.isTaking || state.isResting { return .wait }
            guard state.pipe != nil, state.isDirect || isClear else { return .read }
            state.isDirect = true
            if mayGather, !state.isDraining, let rest = state.pace.restBefore(now) { return .gather(rest) }
            state.isTaking = true
            return .take
        }
        switch step {
        case .wait:
            return .pause
        case .gather(let rest):
            return .gather(min(rest, log.settings.flushInterval))
        case .take:
            take()
            return .pause
        case .read:
            return readIntoMemory()
        }
    }

    private func readIntoMemory() -> ReactorVerdict {
        var total = 0
        for _ in 0..<Self.readsAtOnce {
            switch log.buffer.room(onRoom: { self.goOn() }) {
            case .full:
                state.withLock { $0.isHeldBack = true }
                log.limitStall()
                return .pause
            case .block(let block, let position):
                let (result, count) = read(block, position)
                total += count
                switch result {
                case .bytes:
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

    private func read(_ block: ReactorBlock, _ position: Int) -> (ReactorRead, Int) {
        // Given up by another thread, but closed by none but this one.
        let descriptor = state.withLock { $0.descriptor }
        let result = descriptor < 0 ? .wouldBlock : block.read(from: descriptor, at: position)
        var count = 0
        if case .bytes(let read) = result { count = read }
        log.meet(log.buffer.publish(block, at: position, count: count, time: WallClock.nanoseconds))
        if count > 0 { took(count) }
        return (result, count)
    }

    private func goOn() {
        state.withLock { $0.isHeldBack = false }
        resume()
    }

    private func resume() { reactor.resume(state.withLock { $0.token }) }

    private func verdict(_ bytes: Int) -> ReactorVerdict {
        let rest = state.withLock { state in
            state.pace.took(bytes, at: MonotonicClock.now)
            return state.isDraining ? .zero : state.pace.rest
        }
        return rest == .zero ? .again : .rest(rest)
    }

    // MARK: - On the strand

    private func take() {
        log.take(from: self) { count, taken in
            self.took(count)
            self.learn(taken)
            self.goOn(after: count, taken)
        }
    }

    /// Counts bytes.
    func took(_ count: Int) { state.withLock { $0.bytes += count } }

    private func learn(_ taken: ConsoleLog.Taken) {
        state.withLock { state in
            switch taken {
            case .moved: break
            case .busy: state.isDirect = false
            case .impossible: (state.isDirect, state.pipe) = (false, nil)
            }
        }
    }

    private func goOn(after count: Int, _ taken: ConsoleLog.Taken) {
        if case .moved(.end) = taken { return finish(.endOfStream) }
        let isMore = state.withLock { state in
            state.pace.took(count, at: MonotonicClock.now)
            state.isTaking = false
            // With the end goes the descriptor, and its number to somebody else.
            if state.end != nil { return false }
            if case .moved(.more) = taken { state.isTaking = true } else { state.watchAgain(reactor) }
            return state.isTaking
        }
        if isMore { take() }
    }

    // MARK: - Silence

    /// Gives the descriptor up until the machine prints again, if its side agrees; on the strand, after a silence.
    func rest() {
        let isClear = log.isClear
        let given = state.withLock { state -> (ReactorToken, Int32, any ConsoleSilence)? in
            guard let silence = state.silence, state.pipe != nil, state.isDirect || isClear, state.end == nil,
                !state.isDraining, !state.isTaking, !state.isResting
            else { return nil }
            state.isDirect = true
            state.isResting = true
            defer { state.descriptor = -1 }
            return (state.token, state.descriptor, silence)
        }
        guard let (token, descriptor, silence) = given else { return }
        let isAgreed = silence.begin { self.wake($0) }
        let isTakenBack = state.withLock { state in
            guard !isAgreed, state.end == nil else { return false }
            state.isResting = false
            state.descriptor = descriptor
            // What was reported meanwhile went unheard.
            state.watchAgain(reactor)
            return true
        }
        if !isTakenBack { reactor.remove(token) { close(descriptor) } }
    }

    /// The machine prints again, or never will.
    private func wake(_ next: ConsoleDescriptor?) {
        let isWelcome = state.withLock { state in
            state.isResting = false
            guard let next, state.end == nil else { return false }
            state.descriptor = next.fileDescriptor
            state.silence = next.silence
            state.pipe = ReactorPipe(next.fileDescriptor)
            state.token = ReactorToken()
            reactor.add(state.token, state.descriptor, self)
            return true
        }
        if isWelcome { return log.awaitSilence() }
        if let next { close(next.fileDescriptor) } else { finish(.endOfStream) }
    }

    // MARK: - The end

    private func finish(_ end: ConsoleEnd) {
        let token = state.withLock { state -> ReactorToken? in
            guard state.end == nil else { return nil }
            state.end = end
            return state.token
        }
        guard let token else { return }
        reactor.remove(token) {
            // The strand may be using it.
            self.log.submit {
                self.log.attach(nil)
                let (descriptor, silence, waiting) = self.state.withLock { state in
                    defer { (state.descriptor, state.waiting) = (-1, nil) }
                    state.isClosed = true
                    return (state.descriptor, state.isResting ? state.silence : nil, state.waiting)
                }
                silence?.giveUp()
                if descriptor >= 0 { close(descriptor) }
                waiting?.resume()
            }
        }
    }
}

extension DescriptorReader.State {
    /// Asks for the next report; while the lock is held, for with the end goes the descriptor.
    fileprivate func watchAgain(_ reactor: Reactor) { reactor.watchAgain(token, descriptor) }
}
