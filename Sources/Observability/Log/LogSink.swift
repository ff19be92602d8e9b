import Dispatch
import Synchronization

/// Takes finished lines and writes them in order to standard error or a file.
///
/// Callers only append to memory; one serial queue does the writing, whole lines at a time, so that neither a slow
/// disk nor a full pipe holds an operation up. At most ``capacity`` bytes wait
/// beside those being written; lines beyond are dropped, counted, and
/// their number is written as a line once there is room. Lines that still wait are lost when the process is killed.
package final class LogSink: Sendable {
    package enum Destination: Sendable, Hashable {
        case standardError
        /// Appended to; created with mode 0600.
        case file(path: String)
        /// A descriptor that stays the caller's.
        case descriptor(Int32)
    }

    private enum Item {
        case bytes([UInt8])
        case reopen
    }

    private struct State {
        var items: [Item] = []
        var waitingBytes = 0
        var dropped = 0
        var droppedEver = 0
        var isScheduled = false

        mutating func add(_ line: [UInt8]) {
            waitingBytes += line.count
            guard case .bytes(var bytes)? = items.last else {
                items.append(.bytes(line))
                return
            }
            // Out of the array before it grows, or each line would copy all that wait.
            items.removeLast()
            bytes.append(contentsOf: line)
            items.append(.bytes(bytes))
        }

        /// Whether the queue has to be told.
        mutating func schedule() -> Bool {
            defer { isScheduled = true }
            return !isScheduled
        }
    }

    package static let capacity = 4 << 20

    private let state = Mutex(State())
    private let queue = DispatchQueue(label: "vmops.log")
    private let output: LogOutput
    private let capacity: Int

    /// - Throws: ``ObservabilityError`` when the file cannot be opened.
    package init(_ destination: Destination, capacity: Int = LogSink.capacity) throws {
        output = try LogOutput(destination)
        self.capacity = capacity
    }

    /// Lines dropped so far because too much was waiting.
    package var droppedLines: Int { state.withLock { $0.droppedEver } }

    /// Writes of which the system refused the rest, for example on a full disk.
    package var failedWrites: Int { output.failures }

    /// Adds one line that ends with a newline; returns at once.
    package func append(_ line: [UInt8]) {
        let mustSchedule = state.withLock { state in
            guard state.waitingBytes + line.count <= capacity else {
                state.dropped += 1
                state.droppedEver += 1
                return false
            }
            if state.dropped > 0 {
                state.add(Self.notice(of: state.dropped))
                state.dropped = 0
            }
            state.add(line)
            return state.schedule()
        }
        if mustSchedule { queue.async { self.drain() } }
    }

    /// Opens the file anew, for log rotation: earlier lines go to the old file, later ones to the new. If it cannot be
    /// opened the old file stays in use and the failure is counted.
    package func reopen() {
        let mustSchedule = state.withLock { state in
            state.items.append(.reopen)
            return state.schedule()
        }
        if mustSchedule { queue.async { self.drain() } }
    }

    /// Returns when everything appended before has been written.
    package func flush() async {
        await withCheckedContinuation { continuation in
            queue.async {
                self.drain()
                continuation.resume()
            }
        }
    }

    private func drain() {
        let items = state.withLock { state in
            var items: [Item] = []
            swap(&items, &state.items)
            if state.dropped > 0, state.waitingBytes > 0 || !items.isEmpty {
                items.append(.bytes(Self.notice(of: state.dropped)))
                state.dropped = 0
            }
            state.waitingBytes = 0
            state.isScheduled = false
            return items
        }
        for item in items {
            switch item {
            case .bytes(let bytes): output.write(bytes)
            case .reopen: output.reopen()
            }
        }
    }

    private static func notice(of dropped: Int) -> [UInt8] {
        var line: [UInt8] = []
        Timestamp.now().append(to: &line)
        line.append(contentsOf: " warning log lines dropped count=\(dropped)\n".utf8)
        return line
    }
}
