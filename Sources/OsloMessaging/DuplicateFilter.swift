/// Remembers the last unique ids, to drop a request that is delivered again (oslo.messaging wire, section 6).
///
/// Full means that the oldest id is forgotten. Ids of more than 256 bytes are never remembered, so memory is bounded
/// by the capacity: about 24 bytes for each of the usual ids, taken as they come.
package struct DuplicateFilter: Sendable {
    private static let longest = 256

    /// The usual id, 32 lower-case hexadecimal digits, needs no text.
    private var numbers: RecentNumbers
    private var texts: RecentTexts

    /// - Parameter capacity: how many ids are remembered, at least 1. Python remembers 16.
    package init(capacity: Int = 4096) {
        numbers = RecentNumbers(capacity: max(1, capacity))
        texts = RecentTexts(capacity: max(1, capacity))
    }

    package var count: Int { numbers.count + texts.count }

    /// Notes the id.
    ///
    /// - Returns: false when it is a duplicate of one remembered.
    package mutating func insert(_ id: String) -> Bool {
        if let number = Self.number(id) { return numbers.insert(number) }
        return id.utf8.count > Self.longest || texts.insert(id)
    }

    private static func number(_ id: String) -> RecentNumbers.Number? {
        let bytes = id.utf8.span
        guard bytes.count == 32 else { return nil }
        var (high, low): (UInt64, UInt64) = (0, 0)
        for offset in 0..<32 {
            let byte = bytes[offset]
            let digit: UInt8
            if byte &- UInt8(ascii: "0") < 10 {
                digit = byte &- UInt8(ascii: "0")
            } else if byte &- UInt8(ascii: "a") < 6 {
                digit = byte &- UInt8(ascii: "a") &+ 10
            } else {
                return nil
            }
            if offset < 16 { high = high << 4 | UInt64(digit) } else { low = low << 4 | UInt64(digit) }
        }
        return RecentNumbers.Number(high: high, low: low)
    }
}

/// The last so many texts.
private struct RecentTexts: Sendable {
    let capacity: Int
    private var ring: [String] = []
    private var oldest = 0
    private var known: Set<String> = []

    init(capacity: Int) { self.capacity = capacity }

    var count: Int { ring.count }

    mutating func insert(_ text: String) -> Bool {
        guard known.insert(text).inserted else { return false }
        if ring.count < capacity {
            ring.append(text)
        } else {
            known.remove(ring[oldest])
            ring[oldest] = text
            oldest = (oldest + 1) % capacity
        }
        return true
    }
}
