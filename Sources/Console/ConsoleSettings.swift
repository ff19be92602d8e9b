/// The options of the group `console` (VMOps semantics, section 3.4), replaceable while machines run.
package struct ConsoleSettings: Sendable, Hashable {
    package enum OnStop: String, Sendable, CaseIterable { case keep, delete }

    package enum ReplyCharset: String, Sendable, CaseIterable {
        case utf8 = "utf-8"
        /// The old reply: every character beyond ASCII becomes `?`.
        case ascii
    }

    /// The size no segment file exceeds; at least 1.
    package var segmentBytes = 524_288
    /// Archived segments beside the current one; 0 keeps none.
    package var archives = 1
    /// What becomes of the segments when a machine stops.
    package var onStop = OnStop.keep
    package var reconnectInitial = Duration.milliseconds(50)
    package var reconnectMax = Duration.seconds(2)
    /// How long closing waits for what the host still delivers.
    package var drainTimeout = Duration.seconds(2)
    /// A descriptor that was silent this long while draining counts as drained.
    package var drainQuiet = Duration.milliseconds(100)
    /// The longest time captured bytes stay in memory while the disk works.
    package var flushInterval = Duration.milliseconds(200)
    package var maxReplyBytes = 1_048_576
    /// Immediate ends of stream tolerated within ``spinWindow`` before waiting ``reconnectMax``.
    package var spinLimit = 5
    package var spinWindow = Duration.seconds(1)
    /// Captured bytes held in memory for one machine while its disk is slow.
    package var ringBytes = 1_048_576
    /// After how long without output a log's file is closed, and a console's descriptor given up where it can be.
    package var restAfter = Duration.seconds(5)
    /// How long a full ring may hold back the machine before the oldest bytes are dropped.
    package var stallLimit = Duration.seconds(1)
    package var replyCharset = ReplyCharset.utf8
    /// Leaves out the bytes 0x00-0x08 and 0x0B-0x1F of text replies.
    package var stripControl = false

    package init() {}

    var limits: SegmentLimits { SegmentLimits(segmentBytes: max(1, segmentBytes), archives: max(0, archives)) }
}

/// The caps of a segment store.
package struct SegmentLimits: Sendable, Hashable {
    package let segmentBytes: Int
    package let archives: Int

    package init(segmentBytes: Int, archives: Int) {
        self.segmentBytes = segmentBytes
        self.archives = archives
    }
}
