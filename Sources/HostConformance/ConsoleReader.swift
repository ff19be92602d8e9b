import Glibc
package import HostBackend
import Synchronization

/// The one reader of a machine's console: keeps what comes, and closes when it goes.
///
/// A descriptor is read when asked, without waiting. A stream is read by a task of the reader's own as it comes; at
/// most 64 MiB are kept, a stream that brings more ends for this reader.
package final class ConsoleReader: Sendable {
    private static let streamLimit = 64 << 20

    private struct State {
        var descriptor: Int32 = -1
        var bytes: [UInt8] = []
        var ended = false
    }

    private let state = Mutex(State())
    private let stream: (any ConsoleStream)?
    /// Reads the stream; ends with it, or when ``close()`` or `deinit` cancels it.
    private let pump = Mutex<Task<Void, Never>?>(nil)

    /// Takes over the endpoint.
    package init(_ endpoint: ConsoleEndpoint) {
        switch endpoint {
        case .descriptor(let console):
            stream = nil
            state.withLock { $0.descriptor = console.fileDescriptor }
        case .stream(let stream):
            self.stream = stream
            pump.withLock { pump in
                pump = Task { [weak self] in await Self.drain(stream) { self?.append($0) ?? false } }
            }
        }
    }

    deinit {
        closeDescriptor()
        pump.withLock { $0?.cancel() }
    }

    private static func drain(_ stream: any ConsoleStream, _ take: ([UInt8]?) -> Bool) async {
        while !Task.isCancelled {
            let chunk = try? await stream.next()
            if !take(chunk) { break }
        }
        await stream.close()
    }

    /// - Returns: whether to read on.
    private func append(_ chunk: [UInt8]?) -> Bool {
        state.withLock { state in
            guard let chunk else {
                state.ended = true
                return false
            }
            state.bytes += chunk
            return state.bytes.count < Self.streamLimit
        }
    }

    /// Everything read so far, and what can be read now, of a descriptor at most `limit` bytes more.
    package func bytes(limit: Int = .max) -> [UInt8] {
        state.withLock { state in
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

    /// The last of it, for people.
    package var tail: String {
        let text = text
        return text.isEmpty ? "nothing on the console" : "the console has \(text.suffix(200).debugDescription)"
    }

    /// Whether the end was read.
    package var isAtEnd: Bool {
        _ = bytes()
        return state.withLock { $0.ended }
    }

    /// Of an endpoint that is one; -1 otherwise, and once closed.
    package var fileDescriptor: Int32 { state.withLock { $0.descriptor } }

    /// Gives up the console.
    ///
    /// - Returns: everything that was read; nothing more is taken from the endpoint.
    @discardableResult
    package func close() async -> [UInt8] {
        closeDescriptor()
        let task = pump.withLock { pump in
            defer { pump = nil }
            return pump
        }
        if let task {
            await stream?.close()
            await task.value
        }
        return state.withLock { $0.bytes }
    }

    private func closeDescriptor() {
        state.withLock { state in
            if state.descriptor >= 0 { _ = Glibc.close(state.descriptor) }
            state.descriptor = -1
        }
    }

    /// Waits until the text is there, and returns everything read so far.
    @discardableResult
    package func until(_ part: String) async throws -> String {
        // Of a megabyte only what is new is looked at, or the looking would take longer than the printing.
        var searched = 0
        try await waitUntil("\(part.debugDescription) on the console", seen: { tail }) {
            let all = bytes()
            defer { searched = max(searched, all.count - part.utf8.count) }
            return String(decoding: all[searched...], as: UTF8.self).contains(part)
        }
        return text
    }

    /// Waits for the end, and returns everything read.
    @discardableResult
    package func untilEnd() async throws -> String {
        try await waitUntil("the console's end", seen: { tail }) { isAtEnd }
        return text
    }
}

/// The numbers of the lines `PREFIX N`, in their order.
package func lineNumbers(_ text: String, prefix: String = "line ") -> [UInt64] {
    text.split(separator: "\n").compactMap { line in
        line.hasPrefix(prefix) ? UInt64(line.dropFirst(prefix.count).prefix { $0.isNumber }) : nil
    }
}
