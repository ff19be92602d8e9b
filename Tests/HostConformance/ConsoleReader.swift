import Glibc
package import HostBackend
import Synchronization
import TestSupport

/// The one reader of a machine's console, for tests: reads when asked, never waits, closes when it goes.
package final class ConsoleReader: Sendable {
    private struct State {
        var descriptor: Int32
        var bytes: [UInt8] = []
        var ended = false
        /// Of a stream: come, and not asked for yet.
        var arrived: [UInt8] = []
        var streamEnded = false
        var pump: Task<Void, Never>?
    }

    private let state: Mutex<State>

    /// Takes over the endpoint.
    package init(_ endpoint: ConsoleEndpoint) throws {
        switch endpoint {
        case .descriptor(let console): state = Mutex(State(descriptor: console.fileDescriptor))
        case .stream(let stream):
            state = Mutex(State(descriptor: -1))
            // Cancelled by ``close()``; a stream's own end ends it too.
            let pump = Task { [weak self] in
                while let chunk = try? await stream.next() {
                    guard let self else { break }
                    self.state.withLock { $0.arrived += chunk }
                }
                self?.state.withLock { $0.streamEnded = true }
                await stream.close()
            }
            state.withLock { $0.pump = pump }
        }
    }

    deinit { close() }

    /// Everything read so far, and what can be read now, at most `limit` bytes more.
    package func bytes(limit: Int = .max) -> [UInt8] {
        state.withLock { state in
            if state.pump != nil {
                let taken = min(limit, state.arrived.count)
                state.bytes += state.arrived[..<taken]
                state.arrived.removeFirst(taken)
                state.ended = state.streamEnded && state.arrived.isEmpty
                return state.bytes
            }
            var left = limit
            var buffer = [UInt8](repeating: 0, count: 1 << 16)
            while !state.ended, state.descriptor >= 0, left > 0 {
                let count = read(state.descriptor, &buffer, min(buffer.count, left))
                if count <= 0 {
                    state.ended = count == 0
                    break
                }
                state.bytes += buffer[..<count]
                left -= count
            }
            return state.bytes
        }
    }

    package var text: String { String(decoding: bytes(), as: UTF8.self) }

    /// Whether the end of file was read.
    package var isAtEnd: Bool {
        _ = bytes()
        return state.withLock { $0.ended }
    }

    package var fileDescriptor: Int32 { state.withLock { $0.descriptor } }

    package func close() {
        state.withLock { state in
            if state.descriptor >= 0 { _ = Glibc.close(state.descriptor) }
            state.descriptor = -1
            state.pump?.cancel()
        }
    }

    /// Waits until the text is there, and returns everything read so far.
    @discardableResult
    package func until(_ part: String) async throws -> String {
        try await eventually("\(part.debugDescription) on the console, which has \(text.suffix(300).debugDescription)")
        {
            text.contains(part)
        }
        return text
    }

    /// Waits for the end of file, and returns everything read.
    package func untilEnd() async throws -> String {
        try await eventually("the console's end") { isAtEnd }
        return text
    }
}

/// The numbers of the lines `PREFIX N`, in their order.
package func lineNumbers(_ text: String, prefix: String = "line ") -> [UInt64] {
    text.split(separator: "\n").compactMap { line in
        line.hasPrefix(prefix) ? UInt64(line.dropFirst(prefix.count).prefix { $0.isNumber }) : nil
    }
}
