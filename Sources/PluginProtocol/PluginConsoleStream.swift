import DequeModule
package import HostBackend
import Support
import Synchronization

/// One console stream of a plugin (plugin protocol, section 9).
///
/// Asking for the next chunk is the credit for it. What waits is bounded by the credit; a plugin that sends more breaks
/// the protocol. Ends with the machine's side, by ``close()``, or with the connection.
package final class PluginConsoleStream: ConsoleStream {
    /// What a plugin may send in the beginning, in bytes.
    package static let initialCredit = 256 << 10
    /// Credit is granted in pieces of at least this size, in bytes.
    private static let creditStep = 64 << 10
    /// Small pieces wait together in chunks of up to this size, in bytes: each chunk costs more than what is in it.
    private static let chunkBytes = 16 << 10

    private struct State {
        var chunks: Deque<[UInt8]> = []
        /// Whether more bytes may join the last chunk: nothing is lost between them.
        var isContinuing = false
        /// The offset behind the last byte that came.
        var offset: UInt64
        /// The offset behind the last byte that was taken.
        var taken: UInt64
        var credit = PluginConsoleStream.initialCredit
        var owed = 0
        /// Lost in front of the chunk with that offset.
        var losses: Deque<(offset: UInt64, bytes: Int?)> = []
        var ready: [ConsoleLoss] = []
        var end: Result<PluginStreamEnd, PluginError>?
        var waiter: CheckedContinuation<[UInt8]?, any Error>?
    }

    package let id: UInt32
    private let connection: PluginConnection
    private let state: Mutex<State>

    init(id: UInt32, offset: UInt64, connection: PluginConnection) {
        self.id = id
        self.connection = connection
        state = Mutex(State(offset: offset, taken: offset))
    }

    /// The offset behind the last byte that ``next()`` returned.
    package var offset: UInt64 { state.withLock { $0.taken } }

    /// Why the stream ended; `nil` while it goes on.
    package var reason: PluginStreamEnd? { state.withLock { try? $0.end?.get() } }

    /// Whether it ended with its connection.
    package var wasCutOff: Bool {
        state.withLock { state in if case .failure = state.end { true } else { false } }
    }

    /// Says that something is missing in front of what comes first. `nil` bytes = how much is unknown.
    package func beginsWithLoss(_ bytes: Int?) {
        state.withLock { $0.ready.append(bytes.map { .bytes($0) } ?? .unknown) }
    }

    package func takeLosses() -> [ConsoleLoss] {
        state.withLock { state in
            defer { state.ready = [] }
            return state.ready
        }
    }

    package func next() async throws -> [UInt8]? {
        let chunk = try await withTaskCancellationHandler {
            try await withCheckedThrowingContinuation { continuation in
                let now = state.withLock { state -> Result<[UInt8]?, any Error>? in
                    if let chunk = Self.pop(&state) { return .success(chunk) }
                    switch state.end {
                    case .success(.lost): return .failure(BackendError(.unavailable, "the console was lost"))
                    case .success: return .success(nil)
                    case .failure(let error): return .failure(error.backendError)
                    case nil: break
                    }
                    if Task.isCancelled { return .success(nil) }
                    state.waiter = continuation
                    return nil
                }
                if let now { continuation.resume(with: now) }
            }
        } onCancel: {
            let waiter = state.withLock { state in
                defer { state.waiter = nil }
                return state.waiter
            }
            waiter?.resume(returning: nil)
        }
        if let chunk { grant(chunk.count) }
        return chunk
    }

    package func close() async {
        end(.closed)
        if connection.forget(self) {
            _ = try? await connection.request(.consoleClose, ["stream": .int(Int64(id))], deadline: .seconds(10))
        }
    }

    private func grant(_ count: Int) {
        let credit = state.withLock { state -> Int? in
            state.owed += count
            guard state.owed >= Self.creditStep, state.end == nil else { return nil }
            defer { state.owed = 0 }
            state.credit += state.owed
            return state.owed
        }
        if let credit { try? connection.send(.credit(stream: id, bytes: UInt64(credit))) }
    }

    private static func pop(_ state: inout State) -> [UInt8]? {
        guard let chunk = state.chunks.popFirst() else { return nil }
        while let loss = state.losses.first, loss.offset <= state.taken {
            state.losses.removeFirst()
            state.ready.append(loss.bytes.map { .bytes($0) } ?? .unknown)
            state.taken += UInt64(loss.bytes ?? 0)
        }
        state.taken += UInt64(chunk.count)
        return chunk
    }

    // MARK: The reactor's thread

    func take(_ console: PluginConsoleBytes) throws(PluginError) {
        guard !console.bytes.isEmpty else { return }
        let problem = state.withLock { state -> (PluginError?, (@Sendable () -> Void)?) in
            guard state.end == nil else { return (nil, nil) }
            guard console.offset == state.offset else {
                let what = "console bytes at offset \(console.offset) where \(state.offset) was next"
                return (PluginError(.violation, "\(what) (stream \(id))"), nil)
            }
            guard console.bytes.count <= state.credit else {
                return (PluginError(.violation, "more console bytes than the credit allowed (stream \(id))"), nil)
            }
            state.credit -= console.bytes.count
            state.offset += UInt64(console.bytes.count)
            if state.isContinuing, let last = state.chunks.indices.last,
                state.chunks[last].count + console.bytes.count <= Self.chunkBytes
            {
                state.chunks[last] += console.bytes
            } else {
                state.chunks.append(console.bytes)
                state.isContinuing = true
            }
            guard let waiter = state.waiter, let chunk = Self.pop(&state) else { return (nil, nil) }
            state.waiter = nil
            return (nil, { waiter.resume(returning: chunk) })
        }
        problem.1?()
        if let error = problem.0 { throw error }
    }

    func dropped(_ bytes: UInt64, at offset: UInt64) throws(PluginError) {
        let isSound = state.withLock { state in
            guard state.end == nil else { return true }
            guard offset == 0 || offset == state.offset, bytes < 1 << 48 else { return false }
            // One loss after the other is one loss, however often it is told.
            if let last = state.losses.last, let count = last.bytes, last.offset + UInt64(count) == state.offset {
                guard count < 1 << 56 else { return false }
                state.losses[state.losses.endIndex - 1].bytes = count + Int(bytes)
            } else if bytes > 0 {
                state.losses.append((state.offset, Int(bytes)))
            }
            state.isContinuing = false
            state.offset += bytes
            return true
        }
        if !isSound { throw PluginError(.violation, "dropped bytes at another offset than the next (stream \(id))") }
    }

    func end(_ reason: PluginStreamEnd) { finish(.success(reason)) }

    func fail(_ error: PluginError) { finish(.failure(error)) }

    private func finish(_ end: Result<PluginStreamEnd, PluginError>) {
        let waiter = state.withLock { state -> CheckedContinuation<[UInt8]?, any Error>? in
            guard state.end == nil else { return nil }
            state.end = end
            // What was dropped last is told as well.
            for loss in state.losses where state.chunks.isEmpty {
                state.ready.append(loss.bytes.map { .bytes($0) } ?? .unknown)
            }
            defer { state.waiter = nil }
            return state.waiter
        }
        guard let waiter else { return }
        switch end {
        case .success(.lost): waiter.resume(throwing: BackendError(.unavailable, "the console was lost"))
        case .success: waiter.resume(returning: nil)
        case .failure(let error): waiter.resume(throwing: error.backendError)
        }
    }
}

/// What `console.open` gives.
package enum PluginConsole: Sendable {
    case stream(PluginConsoleStream)
    /// A FIFO, pseudo terminal or socket that the worker reads itself.
    case path(String)
}

extension PluginConnection {
    /// Opens a machine's console.
    ///
    /// - Parameter from: the offset to begin at; `nil` = what comes from now on, or what was kept.
    package func openConsole(
        _ uuid: InstanceUUID,
        from offset: UInt64? = nil,
        takeover: Bool = true,
        deadline: Duration? = .seconds(30)
    ) async throws(PluginError) -> PluginConsole {
        var params: JSONObject = ["uuid": .string(uuid.text), "takeover": .bool(takeover)]
        params["from"] = offset.map { .int(Int64(clamping: $0)) }
        let result = try await exchange(
            PluginMethod.consoleOpen.rawValue,
            params,
            deadline: deadline,
            key: nil,
            progress: nil,
            opensStream: true
        )
        if let path = result["path"]?.stringValue { return .path(path) }
        guard let id = result["stream"]?.intValue else {
            throw PluginError(PluginFault(.internal, "console.open answered with neither a stream nor a path"))
        }
        guard let stream = state.withLock({ $0.opened.removeValue(forKey: UInt32(clamping: id)) }) else {
            throw PluginError(.closed, "the connection to the plugin has ended")
        }
        return .stream(stream)
    }

    /// - Returns: whether the plugin still has the stream open.
    func forget(_ stream: PluginConsoleStream) -> Bool {
        state.withLock { state in
            guard state.error == nil, state.streams[stream.id] === stream else { return false }
            state.streams[stream.id] = nil
            return true
        }
    }
}
