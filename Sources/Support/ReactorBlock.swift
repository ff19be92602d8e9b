import Glibc
import Synchronization

/// What one non-blocking read brought.
package enum ReactorRead: Sendable, Equatable {
    case bytes(Int)
    case wouldBlock
    /// End of file, or the hang-up of a pseudo terminal.
    case end
    case failed(SystemCallError)
}

/// Memory that one thread fills while others read the part already filled.
///
/// `@unchecked Sendable`: bytes are only ever added behind those handed out as ``ReactorSlice``, by one filler at a
/// time, and the hand-over happens under the receiver's lock.
package final class ReactorBlock: @unchecked Sendable {
    package let capacity: Int
    private let base: UnsafeMutableRawPointer
    private let pool: ReactorBlockPool

    fileprivate init(base: UnsafeMutableRawPointer, capacity: Int, pool: ReactorBlockPool) {
        self.base = base
        self.capacity = capacity
        self.pool = pool
    }

    deinit { pool.giveBack(base, capacity: capacity) }

    /// One `read` into the room behind `position`.
    package func read(from descriptor: Int32, at position: Int) -> ReactorRead {
        precondition(position < capacity)
        while true {
            // The pointer stays inside the block: position < capacity, and at most the rest is asked for.
            let count = Glibc.read(descriptor, base + position, capacity - position)
            if count > 0 { return .bytes(count) }
            if count == 0 { return .end }
            switch errno {
            case EINTR: continue
            case EAGAIN: return .wouldBlock
            case EIO: return .end
            default: return .failed(SystemCallError("read", errno))
            }
        }
    }

    /// Copies as many of `bytes` as fit behind `position`.
    ///
    /// - Returns: how many.
    package func append(_ bytes: ArraySlice<UInt8>, at position: Int) -> Int {
        let count = min(bytes.count, capacity - position)
        bytes.withUnsafeBytes { source in
            guard let start = source.baseAddress, count > 0 else { return }
            (base + position).copyMemory(from: start, byteCount: count)
        }
        return count
    }

    fileprivate func bytes(_ range: Range<Int>) -> UnsafeRawBufferPointer {
        precondition(range.lowerBound >= 0 && range.upperBound <= capacity)
        return UnsafeRawBufferPointer(start: base + range.lowerBound, count: range.count)
    }
}

/// Filled bytes of a block, which it keeps alive.
package struct ReactorSlice: Sendable {
    package let block: ReactorBlock
    package private(set) var range: Range<Int>

    package init(_ block: ReactorBlock, _ range: Range<Int>) {
        self.block = block
        self.range = range
    }

    package var count: Int { range.count }
    package var isEmpty: Bool { range.isEmpty }

    package mutating func removeFirst(_ count: Int) {
        range = (range.lowerBound + count)..<range.upperBound
    }

    package mutating func removeLast(_ count: Int) {
        range = range.lowerBound..<(range.upperBound - count)
    }

    /// Joins `next` to this slice if it is the same block's continuation.
    package mutating func join(_ next: ReactorSlice) -> Bool {
        guard next.block === block, next.range.lowerBound == range.upperBound else { return false }
        range = range.lowerBound..<next.range.upperBound
        return true
    }

    /// How many of the first `limit` bytes end with the last newline among their final `window` bytes; `nil` if there
    /// is none.
    package func newlineCut(limit: Int, window: Int) -> Int? {
        let first = max(0, limit - window)
        let bytes = block.bytes(range)
        return bytes[first..<limit].lastIndex(of: UInt8(ascii: "\n")).map { $0 + 1 }
    }

    package var endsWithNewline: Bool { block.bytes(range).last == UInt8(ascii: "\n") }

    package var array: [UInt8] { Array(block.bytes(range)) }

    /// One `write` of the first `count` bytes, repeated when interrupted.
    ///
    /// - Returns: how many the system took, at least one.
    package func write(_ count: Int, to file: ReactorFile) throws(SystemCallError) -> Int {
        try file.write(UnsafeRawBufferPointer(rebasing: block.bytes(range)[0..<count]))
    }
}

/// Hands out blocks of two sizes within a budget and keeps a few large ones for reuse while they are warm in the cache.
package final class ReactorBlockPool: Sendable {
    package static let largeBytes = 64 * 1024
    package static let smallBytes = 4 * 1024

    private struct State {
        var used = 0
        // Freed large blocks; the pool alone knows these addresses.
        var spare: [UInt] = []
    }

    private static let maximumSpare = 16

    package let budget: Int
    private let state = Mutex(State())

    /// `budget`: bytes in blocks at one time; small blocks may exceed it.
    package init(budget: Int) { self.budget = budget }

    deinit {
        state.withLock { state in
            for address in state.spare { UnsafeMutableRawPointer(bitPattern: address)?.deallocate() }
        }
    }

    /// Bytes handed out now.
    package var used: Int { state.withLock { $0.used } }

    /// A small block, always: whoever asks has a bound of its own on how many it holds.
    package func small() -> ReactorBlock {
        state.withLock { $0.used += Self.smallBytes }
        return make(Self.smallBytes)
    }

    /// A large block; `nil` when the budget is used up.
    package func large() -> ReactorBlock? {
        let (granted, spare) = state.withLock { state -> (Bool, UInt?) in
            guard state.used + Self.largeBytes <= budget else { return (false, nil) }
            state.used += Self.largeBytes
            return (true, state.spare.popLast())
        }
        guard granted else { return nil }
        if let spare, let base = UnsafeMutableRawPointer(bitPattern: spare) {
            return ReactorBlock(base: base, capacity: Self.largeBytes, pool: self)
        }
        return make(Self.largeBytes)
    }

    private func make(_ capacity: Int) -> ReactorBlock {
        ReactorBlock(base: .allocate(byteCount: capacity, alignment: 64), capacity: capacity, pool: self)
    }

    fileprivate func giveBack(_ base: UnsafeMutableRawPointer, capacity: Int) {
        let kept = state.withLock { state in
            state.used -= capacity
            guard capacity == Self.largeBytes, state.spare.count < Self.maximumSpare else { return false }
            state.spare.append(UInt(bitPattern: base))
            return true
        }
        if !kept { base.deallocate() }
    }
}
