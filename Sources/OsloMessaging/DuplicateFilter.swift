/// Remembers the last unique ids, to drop a request that is delivered again (oslo.messaging wire, section 6).
///
/// Full means that the oldest id is forgotten. Ids of more than 256 bytes are never remembered, so memory is bounded
/// by the capacity.
package struct DuplicateFilter: Sendable {
    /// The usual id, 32 lower-case hexadecimal digits, needs no text.
    private enum Key: Hashable {
        case number(UInt64, UInt64)
        case text(String)
    }

    private static let longest = 256

    private let capacity: Int
    private var ring: [Key] = []
    private var oldest = 0
    private var known: Set<Key> = []

    /// - Parameter capacity: how many ids are remembered, at least 1. Python remembers 16.
    package init(capacity: Int = 4096) {
        self.capacity = max(1, capacity)
    }

    package var count: Int { ring.count }

    /// Notes the id.
    ///
    /// - Returns: false when it is a duplicate of one remembered.
    package mutating func insert(_ id: String) -> Bool {
        guard let key = Self.key(id) else { return true }
        guard known.insert(key).inserted else { return false }
        if ring.count < capacity {
            ring.append(key)
        } else {
            known.remove(ring[oldest])
            ring[oldest] = key
            oldest = (oldest + 1) % capacity
        }
        return true
    }

    private static func key(_ id: String) -> Key? {
        let bytes = id.utf8.span
        guard bytes.count == 32 else { return bytes.count <= longest ? .text(id) : nil }
        var parts: (UInt64, UInt64) = (0, 0)
        for offset in 0..<32 {
            let digit: UInt8
            switch bytes[offset] {
            case let byte where UInt8(ascii: "0")...UInt8(ascii: "9") ~= byte: digit = byte - UInt8(ascii: "0")
            case let byte where UInt8(ascii: "a")...UInt8(ascii: "f") ~= byte: digit = byte - UInt8(ascii: "a") + 10
            default: return .text(id)
            }
            if offset < 16 { parts.0 = parts.0 << 4 | UInt64(digit) } else { parts.1 = parts.1 << 4 | UInt64(digit) }
        }
        return .number(parts.0, parts.1)
    }
}
