import DequeModule

/// Which deliveries of one channel are unsettled, and which acknowledgements are still to be sent.
///
/// Acknowledgements are collected until ``flush(_:)``: the settled beginning becomes one `basic.ack` with `multiple`,
/// those behind an unsettled delivery go out singly, so that one slow operation cannot hold up the prefetch window.
/// Bounded by the prefetch limit, or by what the broker sends when there is none.
struct AckLedger {
    private enum Mark: UInt8 {
        case unsettled, acknowledged, sent
    }

    private var marks: Deque<Mark> = []
    /// Delivery tag of `marks.first`.
    private var firstTag: UInt64 = 1
    private var touched: [UInt64] = []
    private(set) var unsettled = 0

    /// Tags of a channel count from 1 without gaps.
    mutating func delivered(_ tag: UInt64) {
        guard tag == firstTag + UInt64(marks.count) else { return }
        marks.append(.unsettled)
        unsettled += 1
    }

    /// Marks an acknowledgement to be sent at the next flush. Unknown and settled tags are passed over.
    mutating func acknowledge(_ tag: UInt64) {
        guard let position = position(of: tag) else { return }
        marks[position] = .acknowledged
        unsettled -= 1
        touched.append(tag)
    }

    /// Marks a delivery whose rejection the caller sends; `false` when there is nothing to send.
    mutating func reject(_ tag: UInt64) -> Bool {
        guard let position = position(of: tag) else { return false }
        marks[position] = .sent
        unsettled -= 1
        return true
    }

    /// Acknowledgements that wait for the next flush.
    var unsent: Int { touched.count }

    /// Calls `send` with each tag to acknowledge and whether it stands for all before it.
    mutating func flush(_ send: (_ tag: UInt64, _ multiple: Bool) -> Void) {
        guard !touched.isEmpty else { return }
        var last: UInt64?
        var count = 0
        while let mark = marks.first, mark != .unsettled {
            if mark == .acknowledged {
                last = firstTag
                count += 1
            }
            marks.removeFirst()
            firstTag += 1
        }
        if let last { send(last, count > 1) }
        if count < touched.count {
            for tag in touched where tag >= firstTag {
                let position = Int(tag - firstTag)
                guard marks[position] == .acknowledged else { continue }
                marks[position] = .sent
                send(tag, false)
            }
        }
        touched.removeAll(keepingCapacity: true)
    }

    private func position(of tag: UInt64) -> Int? {
        guard tag >= firstTag, tag - firstTag < UInt64(marks.count) else { return nil }
        let position = Int(tag - firstTag)
        return marks[position] == .unsettled ? position : nil
    }
}
