import CJansson
import Glibc

/// The memory of jansson's trees: taken from the front of a block and given back all at once.
///
/// A tree lives as long as one reading call, so nothing in it is freed by itself. Each thread has a block of its own,
/// made at its first document and kept until the thread ends; documents that need more take further blocks, which are
/// given back at the document's end. Bounded by the size of the documents that are read.
enum JanssonArena {
    /// What a thread keeps; enough for documents of about 5 KB.
    private static let blockSize = 64 << 10

    private struct State {
        /// The free part of the block in use.
        var next: UnsafeMutableRawPointer
        var end: UnsafeMutableRawPointer
        let first: UnsafeMutableRawPointer
        /// Blocks beyond the first one, with the part that was free before each was taken.
        var further: [Further] = []
        /// Documents under way on this thread.
        var depth = 0

        mutating func take(_ size: Int) -> UnsafeMutableRawPointer? {
            let rounded = (size + 15) & ~15
            if rounded > end - next {
                guard let block = malloc(max(rounded, JanssonArena.blockSize)) else { return nil }
                further.append(Further(block: block, next: next, end: end))
                next = block
                end = block + max(rounded, JanssonArena.blockSize)
            }
            defer { next += rounded }
            return next
        }

        mutating func giveBack(_ mark: Mark) {
            while further.count > mark.blocks, let last = further.popLast() {
                free(last.block)
                end = last.end
            }
            next = mark.next
        }
    }

    private struct Further {
        let block: UnsafeMutableRawPointer
        let next: UnsafeMutableRawPointer
        let end: UnsafeMutableRawPointer
    }

    private struct Mark {
        let next: UnsafeMutableRawPointer
        let blocks: Int
    }

    /// The thread's state, and jansson told where its memory comes from; `nil` when the system has no key left, and
    /// then jansson stays with malloc.
    private static let key: pthread_key_t? = {
        var key = pthread_key_t()
        guard pthread_key_create(&key, { context in JanssonArena.destroy(context) }) == 0 else { return nil }
        json_set_alloc_funcs(
            { size in JanssonArena.allocate(size) },
            { memory in JanssonArena.release(memory) }
        )
        return key
    }()

    /// Runs `body`, which may let jansson build trees; they must be gone from all hands when it returns, and are not
    /// to be freed node by node. May be nested.
    @inline(__always)
    static func with<Result>(_ body: () throws(JSONError) -> Result) throws(JSONError) -> Result {
        guard let state = current ?? make() else { return try body() }
        let mark = Mark(next: state.pointee.next, blocks: state.pointee.further.count)
        state.pointee.depth += 1
        defer {
            state.pointee.depth -= 1
            state.pointee.giveBack(mark)
        }
        return try body()
    }

    @inline(__always)
    private static var current: UnsafeMutablePointer<State>? {
        key.flatMap { pthread_getspecific($0) }?.assumingMemoryBound(to: State.self)
    }

    private static func make() -> UnsafeMutablePointer<State>? {
        guard let key, let block = malloc(blockSize) else { return nil }
        let state = UnsafeMutablePointer<State>.allocate(capacity: 1)
        state.initialize(to: State(next: block, end: block + blockSize, first: block))
        guard pthread_setspecific(key, state) == 0 else {
            destroy(state)
            return nil
        }
        return state
    }

    private static func destroy(_ context: UnsafeMutableRawPointer?) {
        guard let state = context?.assumingMemoryBound(to: State.self) else { return }
        free(state.pointee.first)
        state.deinitialize(count: 1)
        state.deallocate()
    }

    private static func allocate(_ size: Int) -> UnsafeMutableRawPointer? {
        guard let state = current, state.pointee.depth > 0 else { return malloc(size) }
        return state.pointee.take(size)
    }

    private static func release(_ memory: UnsafeMutableRawPointer?) {
        guard let state = current, state.pointee.depth > 0 else { return free(memory) }
    }
}
