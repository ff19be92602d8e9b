import Glibc
import HostBackend
import PluginProtocol
import Support
import Synchronization

/// One console on its way to the worker.
///
/// A descriptor is read only while there is credit: what is printed meanwhile waits where the host keeps it, which is
/// better than any buffer here. With a spool, what was sent is kept as well, and its offsets with it.
final class ServedConsole: Sendable {
    static let bufferBytes = 256 << 10
    /// How much is sent in one frame.
    private static let pieceBytes = 32 << 10
    /// How often a descriptor without news is looked at.
    private static let pause = Duration.milliseconds(10)

    private struct State {
        var credit = PluginConsoleStream.initialCredit
        var offset: UInt64
        var reason: PluginStreamEnd?
        var task: Task<Void, Never>?
        var isClosed = false
    }

    private enum Source: Sendable {
        case descriptor(Int32)
        case stream(any ConsoleStream)
    }

    private let uuid: InstanceUUID
    private let source: Source
    private let state: Mutex<State>
    /// `nil` = nothing is kept.
    private let spool: Mutex<ConsoleSpool?>
    private let isKept: Bool

    /// - Parameters:
    ///   - spool: what was sent of this machine before.
    ///   - from: the offset to begin at, as far as that is kept; `nil` = behind everything that was sent.
    init(_ endpoint: ConsoleEndpoint, uuid: InstanceUUID, spool: ConsoleSpool?, from: UInt64?) {
        self.uuid = uuid
        let begin = spool.map { spool in min(max(from ?? spool.end, spool.begin), spool.end) }
        state = Mutex(State(offset: begin ?? 0))
        self.spool = Mutex(spool)
        isKept = spool != nil
        switch endpoint {
        case .descriptor(let descriptor): source = .descriptor(descriptor.fileDescriptor)
        case .stream(let stream): source = .stream(stream)
        }
    }

    /// The offset of the next byte that is sent.
    var offset: UInt64 { state.withLock { $0.offset } }

    /// Begins to send. The answer to `console.open` must be on its way: the worker knows the stream from it.
    func start(id: UInt32, server: PluginServer) {
        state.withLock { state in
            // Cancelled and awaited by ``close()``. One that was closed before it began says just that.
            state.task = Task {
                let reason = await self.pump(id, server)
                server.forget(id, self.uuid)
                server.send(.end(stream: id, reason))
            }
            if state.isClosed { state.task?.cancel() }
        }
    }

    func grant(_ bytes: Int) { state.withLock { $0.credit += bytes } }

    /// Says why the stream is about to be closed.
    func end(_ reason: PluginStreamEnd) {
        state.withLock { if $0.reason == nil { $0.reason = reason } }
    }

    func close() async {
        let task = state.withLock { state in
            state.isClosed = true
            return state.task
        }
        task?.cancel()
        if case .stream(let stream) = source { await stream.close() }
        await task?.value
    }

    private func pump(_ id: UInt32, _ server: PluginServer) async -> PluginStreamEnd {
        defer { if case .descriptor(let descriptor) = source { Glibc.close(descriptor) } }
        do {
            try await replay(id, server)
        } catch {
            return .lost
        }
        while !Task.isCancelled {
            let credit = state.withLock { $0.credit }
            // A worker that does not read its frames has no use for more.
            if credit <= 0 || server.backlog > PluginFrame.defaultMaximum {
                try? await Task.sleep(for: Self.pause)
                continue
            }
            do {
                guard let bytes = try await next(min(credit, Self.pieceBytes)) else {
                    if let reason = state.withLock({ $0.reason }) { return reason }
                    return await server.reason(uuid)
                }
                if bytes.isEmpty {
                    try? await Task.sleep(for: Self.pause)
                } else {
                    try await keep(bytes)
                    try await send(bytes[...], id, server)
                }
            } catch {
                return .lost
            }
        }
        return state.withLock { $0.reason } ?? .closed
    }

    /// Sends again what was sent and may not have come.
    private func replay(_ id: UInt32, _ server: PluginServer) async throws {
        while !Task.isCancelled, let (bytes, end) = try await spooled() {
            guard !bytes.isEmpty else {
                // Somebody has taken away what was kept.
                let lost = state.withLock { state in
                    defer { state.offset = end }
                    return (offset: state.offset, bytes: end - state.offset)
                }
                return server.send(.dropped(stream: id, offset: lost.offset, bytes: lost.bytes))
            }
            try await send(bytes[...], id, server)
        }
    }

    /// What is kept from the next offset on, and where that ends; `nil` once all of it was sent.
    private func spooled() async throws -> (bytes: [UInt8], end: UInt64)? {
        guard isKept else { return nil }
        let offset = offset
        return try await BlockingPool.shared.run {
            try self.spool.withLock { spool in
                guard let spool, offset < spool.end else { return nil }
                return (try spool.read(from: offset, limit: Self.pieceBytes), spool.end)
            }
        }
    }

    private func keep(_ bytes: [UInt8]) async throws {
        guard isKept else { return }
        try await BlockingPool.shared.run { self.spool.withLock { $0?.append(bytes) } }
    }

    /// `nil` at the end, nothing when there is nothing now.
    private func next(_ limit: Int) async throws -> [UInt8]? {
        switch source {
        case .stream(let stream): return try await stream.next()
        case .descriptor(let descriptor):
            var buffer = [UInt8](repeating: 0, count: limit)
            let count = read(descriptor, &buffer, limit)
            if count > 0 { return Array(buffer[..<count]) }
            if count == 0 || errno == EIO { return nil }
            guard errno == EAGAIN || errno == EINTR else { throw SystemCallError("read", errno) }
            return []
        }
    }

    /// A stream of a host may give more than there is credit for: the rest waits here.
    private func send(_ bytes: ArraySlice<UInt8>, _ id: UInt32, _ server: PluginServer) async throws {
        var rest = bytes
        while !rest.isEmpty, !Task.isCancelled {
            let (offset, count) = state.withLock { state in
                let count = min(rest.count, max(state.credit, 0), Self.pieceBytes)
                defer {
                    state.offset += UInt64(count)
                    state.credit -= count
                }
                return (state.offset, count)
            }
            if count == 0 {
                try? await Task.sleep(for: Self.pause)
                continue
            }
            let piece = PluginConsoleBytes(stream: id, offset: offset, bytes: Array(rest.prefix(count)))
            try server.write(PluginFrame.console(piece).bytes)
            rest = rest.dropFirst(count)
        }
    }
}
