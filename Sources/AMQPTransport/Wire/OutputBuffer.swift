import Glibc

/// Frames that wait to be written, as one run of bytes.
///
/// Confined to the thread that owns it. Grows as needed; its owner bounds it by encoding no further messages while
/// ``count`` is above its limit.
final class OutputBuffer {
    private static let initialCapacity = 64 << 10
    /// A buffer that grew above this is given back once it is empty.
    private static let keptCapacity = 1 << 20

    private var storage: UnsafeMutableRawPointer
    private var capacity: Int
    private var start = 0
    private var end = 0

    init() {
        capacity = Self.initialCapacity
        storage = .allocate(byteCount: capacity, alignment: 16)
    }

    deinit { storage.deallocate() }

    var count: Int { end - start }
    var isEmpty: Bool { start == end }

    func removeAll() {
        start = 0
        end = 0
        guard capacity > Self.keptCapacity else { return }
        storage.deallocate()
        capacity = Self.initialCapacity
        storage = .allocate(byteCount: capacity, alignment: 16)
    }

    /// What waits; valid until the buffer is changed.
    var readable: UnsafeRawBufferPointer { UnsafeRawBufferPointer(start: storage + start, count: count) }

    func consume(_ written: Int) {
        start += written
        if start == end { removeAll() }
    }

    /// Room for at least `size` more bytes; `advance(by:)` says how many were used.
    func reserve(_ size: Int) -> UnsafeMutableRawPointer {
        if end + size > capacity { grow(size) }
        return storage + end
    }

    func advance(by size: Int) { end += size }

    /// Takes back what was appended after `count` was `mark`.
    func truncate(to mark: Int) { end = start + mark }

    private func grow(_ size: Int) {
        let used = count
        if used + size <= capacity, start >= used {
            storage.copyMemory(from: storage + start, byteCount: used)
        } else {
            var larger = capacity
            while larger < used + size { larger *= 2 }
            let moved = UnsafeMutableRawPointer.allocate(byteCount: larger, alignment: 16)
            moved.copyMemory(from: storage + start, byteCount: used)
            storage.deallocate()
            storage = moved
            capacity = larger
        }
        start = 0
        end = used
    }
}
