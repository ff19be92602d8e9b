/// One console stream as it came (plugin protocol, section 9).
struct WireStream: Sendable {
    /// What a plugin may send before it gets credit.
    static let initialCredit = 256 << 10

    /// Where it began.
    let start: UInt64
    /// Where the next byte has to be.
    private(set) var next: UInt64
    /// Every byte that came, without the dropped ones.
    private(set) var bytes: [UInt8] = []
    /// How many bytes were reported as dropped.
    private(set) var dropped: UInt64 = 0
    private(set) var dropReports = 0
    /// What it may still send.
    private(set) var credit = WireStream.initialCredit
    private(set) var endReason: String?

    init(start: UInt64) {
        self.start = start
        next = start
    }

    mutating func grant(_ count: Int) { credit += count }

    /// - Returns: what is wrong with it.
    mutating func receive(_ more: [UInt8], at offset: UInt64) -> String? {
        var wrong: String?
        if let endReason {
            wrong = "bytes after the end, which was '\(endReason)'"
        } else if offset != next {
            wrong = "a frame at offset \(offset) where \(next) was due, and nothing was reported as dropped"
        } else if more.count > credit {
            wrong = "\(more.count) bytes with a credit of \(credit)"
        }
        credit -= more.count
        next = offset + UInt64(more.count)
        bytes += more
        return wrong
    }

    mutating func drop(_ count: UInt64, at offset: UInt64) -> String? {
        let wrong = offset == next ? nil : "bytes dropped at offset \(offset) where \(next) was due"
        next = offset + count
        dropped += count
        dropReports += 1
        return wrong
    }

    mutating func end(_ reason: String) -> String? {
        let known: Set = ["stopped", "migrated", "closed", "superseded", "lost", "none"]
        if let endReason { return "a second end, '\(reason)' after '\(endReason)'" }
        endReason = reason
        return known.contains(reason) ? nil : "the end for the reason '\(reason)', which there is not"
    }
}
