import Glibc
package import Support
import Synchronization

/// Takes what comes over a ``PluginChannel``; called on the reactor's thread.
package protocol PluginChannelReceiver: AnyObject, Sendable {
    /// - Returns: how long nothing more is read, which in the end makes the sender wait; `nil` = read on.
    func received(_ bytes: [UInt8]) -> Duration?

    /// Nothing more comes: the other side has closed, or reading failed.
    func ended(_ error: SystemCallError?)
}

/// Bytes to and from a plugin: a pair of pipes or a socket, neither of which ever makes a thread wait.
///
/// What does not fit into the pipe waits in a bounded queue, which the reactor's thread empties as room comes. The
/// receiver is not kept alive.
package final class PluginChannel: ReactorHandler {
    /// The most bytes that wait for a plugin that does not read; what comes on top is refused.
    package static let outboxLimit = 8 << 20
    /// How much is read at once.
    private static let readBytes = 64 << 10
    /// How long a full pipe is left alone.
    private static let retryPause = Duration.milliseconds(5)

    private struct State {
        weak var receiver: (any PluginChannelReceiver)?
        var outbox: [ArraySlice<UInt8>] = []
        var waiting = 0
        var writing: Int32
        var isRetrying = false
        var isFinishing = false
        var isClosed = false
    }

    private let reading: Int32
    private let isSocket: Bool
    private let token = ReactorToken()
    private let reactor: Reactor
    private let state: Mutex<State>

    /// Takes over the descriptors, which are non-blocking: two ends of pipes, or one socket twice. A negative `writing`
    /// is none.
    init(reading: Int32, writing: Int32, reactor: Reactor) {
        self.reading = reading
        self.reactor = reactor
        isSocket = reading == writing
        state = Mutex(State(writing: writing))
    }

    /// Begins to read.
    package func start(_ receiver: any PluginChannelReceiver) {
        state.withLock { $0.receiver = receiver }
        reactor.add(token, reading, self)
    }

    /// Bytes that the other side has not taken yet.
    package var waiting: Int { state.withLock { $0.waiting } }

    /// Sends, or keeps for later.
    ///
    /// - Throws: ``PluginError/Code/closed``; nothing is kept when too much waits already.
    package func send(_ bytes: [UInt8]) throws(PluginError) {
        let error = state.withLock { state -> PluginError? in
            guard !state.isClosed, !state.isFinishing, state.writing >= 0 else {
                return PluginError(.closed, "the connection to the plugin has ended")
            }
            guard state.waiting + bytes.count <= Self.outboxLimit else {
                return PluginError(.closed, "the plugin does not read: \(state.waiting) bytes wait for it")
            }
            state.outbox.append(bytes[...])
            state.waiting += bytes.count
            return state.isRetrying ? nil : write(&state)
        }
        if let error { throw error }
    }

    /// Closes the writing side once what waits is written.
    package func finishWriting() {
        state.withLock { state in
            state.isFinishing = true
            if state.outbox.isEmpty { closeWriting(&state) }
        }
    }

    /// Ends both directions; what waits is dropped. Repetitions do nothing.
    package func close() {
        let wasClosed = state.withLock { state in
            defer { state.isClosed = true }
            guard !state.isClosed else { return true }
            state.outbox = []
            state.waiting = 0
            if !isSocket { closeWriting(&state) }
            state.writing = -1
            return false
        }
        guard !wasClosed else { return }
        let descriptor = reading
        reactor.remove(token) { Glibc.close(descriptor) }
    }

    deinit { close() }

    private func closeWriting(_ state: inout State) {
        guard state.writing >= 0 else { return }
        if isSocket { shutdown(state.writing, Int32(SHUT_WR)) } else { Glibc.close(state.writing) }
        state.writing = -1
    }

    /// Writes what there is room for.
    private func write(_ state: inout State) -> PluginError? {
        while let first = state.outbox.first {
            let count = first.withUnsafeBytes { bytes in
                isSocket
                    ? Glibc.send(state.writing, bytes.baseAddress, bytes.count, Int32(MSG_NOSIGNAL))
                    : Glibc.write(state.writing, bytes.baseAddress, bytes.count)
            }
            guard count < 0 else {
                state.waiting -= count
                if count == first.count { state.outbox.removeFirst() } else { state.outbox[0] = first.dropFirst(count) }
                continue
            }
            switch errno {
            case EINTR: continue
            case EAGAIN:
                retryLater(&state)
                return nil
            default:
                let error = SystemCallError("write", errno)
                state.outbox = []
                state.waiting = 0
                return PluginError(.closed, "the plugin has closed its input: \(error)")
            }
        }
        if state.isFinishing { closeWriting(&state) }
        return nil
    }

    private func retryLater(_ state: inout State) {
        state.isRetrying = true
        reactor.schedule(after: Self.retryPause) { [weak self] in
            self?.state.withLock { state in
                state.isRetrying = false
                if !state.isClosed, state.writing >= 0 { _ = self?.write(&state) }
            }
        }
    }

    // MARK: The reactor's thread

    package func ready() -> ReactorVerdict {
        let receiver = state.withLock { $0.isClosed ? nil : $0.receiver }
        guard let receiver else { return .pause }
        switch read() {
        case .success(let bytes) where bytes.isEmpty:
            receiver.ended(nil)
            return .pause
        case .success(let bytes):
            return receiver.received(bytes).map { .rest($0) } ?? .again
        case .failure(let error) where error.number == EAGAIN:
            return .again
        case .failure(let error):
            receiver.ended(error.number == ECONNRESET ? nil : error)
            return .pause
        }
    }

    package func refused(_ error: SystemCallError) {
        state.withLock { $0.receiver }?.ended(error)
    }

    private func read() -> Result<[UInt8], SystemCallError> {
        withUnsafeTemporaryAllocation(byteCount: Self.readBytes, alignment: 16) { buffer in
            while true {
                let count = Glibc.read(reading, buffer.baseAddress, buffer.count)
                if count >= 0 { return .success(Array(buffer[..<count])) }
                if errno != EINTR { return .failure(SystemCallError("read", errno)) }
            }
        }
    }
}
