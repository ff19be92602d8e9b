import Support
import Synchronization

/// The bounded memory between an endpoint's reader and the disk (VMOps semantics, section 7.3).
///
/// One reader fills it, the log's strand empties it. Full, it first holds the reader back, for at most the stall limit,
/// which evens out the two threads' turns; if the disk has not caught up by then, the oldest bytes are dropped, counted
/// and remembered as a gap in their place, until half of the memory is free again. Marks wait in line with the bytes.
/// An idle buffer holds no block.
final class ConsoleBuffer: Sendable {
    enum Item: Sendable {
        case data(ReactorSlice)
        case mark(ConsoleMarkKind, time: Int64)
        case gap(Int64, time: Int64)
    }

    enum Room {
        /// Read into the block behind the position, then call ``publish(_:at:count:)``.
        case block(ReactorBlock, at: Int)
        /// Wait for the call-back given.
        case full
    }

    /// What the disk side has to do next.
    enum Need { case nothing, flushLater, flushNow }

    struct Counters: Sendable {
        var bytesIn: Int64 = 0
        var dropped: Int64 = 0
        var lastByteTime: Int64?
        var held = 0
    }

    private struct State {
        var limit: Int
        // Slices of one block join, so these are few: at most the limit in small blocks, and the marks.
        var items: [Item] = []
        /// Bytes in items, and in the one that is being written.
        var held = 0
        var block: (ReactorBlock, filled: Int)?
        var wantsLarge = false
        var isDropping = false
        var stalledSince: Duration?
        var stallIsTimed = false
        var onRoom: (@Sendable () -> Void)?
        var flushIsPlanned = false
        var marks = 0
        var counters = Counters()
    }

    /// Bytes that are worth a write of their own, before the flush interval is over.
    private static let flushBytes = 64 * 1024
    /// What one machine may hold in small blocks when the common budget is used up.
    private static let reservedBytes = 16 * 1024
    private static let maximumMarks = 1024
    private static let usefulRoom = 512

    private let pool: ReactorBlockPool
    private let state: Mutex<State>

    init(pool: ReactorBlockPool, limit: Int) {
        self.pool = pool
        self.state = Mutex(State(limit: max(limit, Self.reservedBytes)))
    }

    var counters: Counters {
        state.withLock { state in
            var counters = state.counters
            counters.held = state.held
            return counters
        }
    }

    /// Whether nothing waits, neither bytes nor marks.
    var isEmpty: Bool { state.withLock { $0.items.isEmpty && $0.held == 0 } }

    /// Counts bytes that reached the disk without passing through this memory.
    func passed(_ count: Int, time: Int64) {
        state.withLock { state in
            state.counters.bytesIn += Int64(count)
            state.counters.lastByteTime = time
        }
    }

    /// Counts bytes that were taken from an endpoint and could not be kept; a gap marks the place.
    func lost(_ count: Int) {
        guard count > 0 else { return }
        state.withLock { state in
            state.counters.bytesIn += Int64(count)
            state.counters.dropped += Int64(count)
            state.items.append(.gap(Int64(count), time: WallClock.nanoseconds))
        }
    }

    /// Marks a place where an unknown number of bytes is missing.
    func missing() {
        state.withLock { $0.items.append(.gap(0, time: WallClock.nanoseconds)) }
    }

    func setLimit(_ limit: Int) {
        state.withLock { $0.limit = max(limit, Self.reservedBytes) }
    }

    // MARK: - Reader's side

    /// Memory for the next read. The caller either publishes or lets go.
    func room(onRoom: @escaping @Sendable () -> Void) -> Room {
        state.withLock { state in
            if state.held >= state.limit {
                guard state.isDropping else { return Self.stall(&state, onRoom) }
                Self.dropOldest(&state, until: max(0, state.limit - ReactorBlockPool.largeBytes))
            }
            if let (block, filled) = state.block {
                state.block = nil
                if block.capacity - filled >= Self.usefulRoom { return .block(block, at: filled) }
            }
            if state.wantsLarge, let block = pool.large() { return .block(block, at: 0) }
            if state.wantsLarge, state.held >= Self.reservedBytes {
                guard state.isDropping else { return Self.stall(&state, onRoom) }
                Self.dropOldest(&state, until: 0)
            }
            return .block(pool.small(), at: 0)
        }
    }

    private static func stall(_ state: inout State, _ onRoom: @escaping @Sendable () -> Void) -> Room {
        state.stalledSince = MonotonicClock.now
        state.onRoom = onRoom
        return .full
    }

    /// Hands over `count` bytes read into `block` behind `position`; 0 gives the room back.
    func publish(_ block: ReactorBlock, at position: Int, count: Int, time: Int64) -> Need {
        state.withLock { state in
            let end = position + count
            if end < block.capacity { state.block = (block, filled: end) }
            guard count > 0 else {
                if state.held == 0 { state.block = nil }
                return .nothing
            }
            let isFull = end == block.capacity
            if isFull || count < 1024 { state.wantsLarge = isFull }
            state.counters.bytesIn += Int64(count)
            state.counters.lastByteTime = time
            state.held += count
            let slice = ReactorSlice(block, position..<end)
            if case .data(var last) = state.items.last, last.join(slice) {
                state.items[state.items.count - 1] = .data(last)
            } else {
                state.items.append(.data(slice))
            }
            return Self.need(&state)
        }
    }

    private static func need(_ state: inout State) -> Need {
        if state.held >= flushBytes { return .flushNow }
        defer { state.flushIsPlanned = true }
        return state.flushIsPlanned ? .nothing : .flushLater
    }

    /// The planned flush has come.
    func flushComes() {
        state.withLock { $0.flushIsPlanned = false }
    }

    /// Whether the reader's stall needs a timer; one at a time is enough.
    func stallNeedsTimer() -> Bool {
        state.withLock { state in
            defer { state.stallIsTimed = true }
            return !state.stallIsTimed
        }
    }

    /// The stall timer has come: starts dropping if a stall has lasted for `limit`.
    ///
    /// - Returns: when to look again, `nil` if there is no stall.
    func stallTimerComes(limit: Duration) -> Duration? {
        let (again, onRoom) = state.withLock { state -> (Duration?, (@Sendable () -> Void)?) in
            if let since = state.stalledSince, state.onRoom != nil {
                let left = limit - (MonotonicClock.now - since)
                if left > .zero { return (left, nil) }
                state.isDropping = true
            }
            defer { state.onRoom = nil }
            state.stalledSince = nil
            state.stallIsTimed = false
            return (nil, state.onRoom)
        }
        onRoom?()
        return again
    }

    private static func dropOldest(_ state: inout State, until held: Int) {
        while state.held > held,
            let position = state.items.firstIndex(where: { if case .data = $0 { true } else { false } }),
            case .data(let slice) = state.items[position]
        {
            state.held -= slice.count
            state.counters.dropped += Int64(slice.count)
            if position > 0, case .gap(let before, let time) = state.items[position - 1] {
                state.items[position - 1] = .gap(before + Int64(slice.count), time: time)
                state.items.remove(at: position)
            } else {
                state.items[position] = .gap(Int64(slice.count), time: WallClock.nanoseconds)
            }
        }
    }

    // MARK: - Marks

    /// Queues a mark behind the bytes captured so far; beyond 1,024 waiting ones the oldest is forgotten.
    func mark(_ kind: ConsoleMarkKind) {
        state.withLock { state in
            if state.marks == Self.maximumMarks,
                let oldest = state.items.firstIndex(where: { if case .mark = $0 { true } else { false } })
            {
                state.items.remove(at: oldest)
                state.marks -= 1
            }
            state.marks += 1
            state.items.append(.mark(kind, time: WallClock.nanoseconds))
        }
    }

    // MARK: - Disk's side

    func take() -> Item? {
        state.withLock { state in
            let item = state.items.isEmpty ? nil : state.items.removeFirst()
            if case .mark = item { state.marks -= 1 }
            return item
        }
    }

    /// Gives back what could not be written.
    func putBack(_ item: Item) {
        state.withLock { state in
            if case .mark = item { state.marks += 1 }
            state.items.insert(item, at: 0)
        }
    }

    /// `count` bytes have reached the disk.
    func written(_ count: Int) {
        let onRoom = state.withLock { state -> (@Sendable () -> Void)? in
            state.held -= count
            if state.held == 0 { state.block = nil }
            if state.held <= state.limit / 2 { state.isDropping = false }
            guard state.held <= state.limit - state.limit / 4 else { return nil }
            defer { state.onRoom = nil }
            state.stalledSince = nil
            return state.onRoom
        }
        onRoom?()
    }

    /// Drops and counts everything that waits.
    func dropAll() {
        state.withLock { state in
            Self.dropOldest(&state, until: 0)
            state.items.removeAll()
            state.marks = 0
            state.block = nil
        }
    }
}
