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
    }

    private let state: Mutex<State>

    /// Takes over the descriptor of an endpoint; throws for endpoints of another kind.
    package init(_ endpoint: ConsoleEndpoint) throws {
        guard case .descriptor(let console) = endpoint else {
            throw BackendError(.unimplemented, "the reader takes descriptors only")
        }
        state = Mutex(State(descriptor: console.fileDescriptor))
    }

    deinit { close() }

    /// Everything read so far, and what can be read now, at most `limit` bytes more.
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
        }
    }

    /// Waits until the text is there, and returns everything read so far.
    @discardableResult
    package func until(_ part: String) async throws -> String {
        let begin = text.suffix(300).debugDescription
        // Of a megabyte only what is new is looked at, or the looking would take longer than the printing.
        var searched = 0
        try await eventually("\(part.debugDescription) on the console, which began with \(begin)") {
            let all = bytes()
            defer { searched = max(searched, all.count - part.utf8.count) }
            return String(decoding: all[searched...], as: UTF8.self).contains(part)
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
