import Glibc

/// Bytes that are written from the front, with one check of the room for many of them.
///
/// Every `append` except that of whole texts must be covered by an earlier ``reserve(_:)``; whole words are stored even
/// where only a part of them counts, so a reservation needs eight bytes more than what is appended by words.
struct ByteOutput: ~Copyable {
    private var storage: UnsafeMutableRawPointer
    private var capacity: Int
    private(set) var count = 0

    init(capacity: Int) {
        self.capacity = max(capacity, 64)
        storage = .allocate(byteCount: self.capacity, alignment: 8)
    }

    deinit { storage.deallocate() }

    /// A copy of what was written.
    var bytes: [UInt8] {
        [UInt8](unsafeUninitializedCapacity: count) { target, initialized in
            if let start = target.baseAddress { memcpy(start, storage, count) }
            initialized = count
        }
    }

    @inline(__always)
    mutating func reserve(_ more: Int) {
        if more > capacity &- count { grow(more) }
    }

    @inline(never)
    private mutating func grow(_ more: Int) {
        capacity = max(capacity * 2, count + more)
        let larger = UnsafeMutableRawPointer.allocate(byteCount: capacity, alignment: 8)
        larger.copyMemory(from: storage, byteCount: count)
        storage.deallocate()
        storage = larger
    }

    @inline(__always)
    mutating func append(_ byte: UInt8) {
        storage.storeBytes(of: byte, toByteOffset: count, as: UInt8.self)
        count &+= 1
    }

    /// The first `length` bytes of the word, the lowest byte first.
    @inline(__always)
    mutating func append(word: UInt64, _ length: Int) {
        storage.storeBytes(of: word.littleEndian, toByteOffset: count, as: UInt64.self)
        count &+= length
    }

    mutating func append(_ text: Span<UInt8>) {
        reserve(text.count)
        text.withUnsafeBytes { source in
            if let start = source.baseAddress { memcpy(storage + count, start, source.count) }
        }
        count += text.count
    }

    mutating func append(_ text: StaticString) {
        let length = text.utf8CodeUnitCount
        reserve(length)
        memcpy(storage + count, text.utf8Start, length)
        count += length
    }

    mutating func truncate(to length: Int) { count = length }

    /// Turns round what was appended since `count` was `first`.
    @inline(__always)
    mutating func reverse(from first: Int) {
        var (low, high) = (first, count - 1)
        while low < high {
            let byte = storage.load(fromByteOffset: low, as: UInt8.self)
            storage.storeBytes(
                of: storage.load(fromByteOffset: high, as: UInt8.self),
                toByteOffset: low,
                as: UInt8.self
            )
            storage.storeBytes(of: byte, toByteOffset: high, as: UInt8.self)
            low += 1
            high -= 1
        }
    }
}
