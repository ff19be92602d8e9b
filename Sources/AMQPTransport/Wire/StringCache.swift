import CRabbitMQ
import Glibc

/// Turns wire strings into Swift strings without allocating for those seen before.
///
/// A direct-mapped table: names that collide push each other out, so memory is bounded by its size times 255 bytes.
/// Strings of up to 15 bytes need no memory and are not kept.
struct StringCache {
    private static let slots = 256
    private var strings = [String](repeating: "", count: slots)

    mutating func string(_ bytes: amqp_bytes_t) -> String {
        let count = bytes.len
        guard count > 15, let start = bytes.bytes else { return WireValue.string(bytes) }
        let wire = UnsafeRawBufferPointer(start: start, count: count)
        let slot = Self.slot(wire)
        let same = strings[slot].utf8.withContiguousStorageIfAvailable { known in
            guard known.count == count, let text = known.baseAddress else { return false }
            return memcmp(text, start, count) == 0
        }
        if same == true { return strings[slot] }
        let string = String(decoding: wire, as: UTF8.self)
        strings[slot] = string
        return string
    }

    /// Names share beginnings and often endings, so length, last eight and middle eight bytes are mixed.
    private static func slot(_ bytes: UnsafeRawBufferPointer) -> Int {
        let last = bytes.loadUnaligned(fromByteOffset: bytes.count - 8, as: UInt64.self)
        let middle = bytes.loadUnaligned(fromByteOffset: bytes.count / 2 - 4, as: UInt64.self)
        let mixed = (last ^ (middle &* 0x9E37_79B9_7F4A_7C15) ^ UInt64(bytes.count)) &* 0xFF51_AFD7_ED55_8CCD
        return Int(truncatingIfNeeded: mixed >> 32) & (slots - 1)
    }
}
