/// What a mark stands for.
package enum ConsoleMarkKind: String, Sendable, Hashable, CaseIterable {
    case boot, stop, crash, suspend, resume, migration
    /// Bytes are missing here: dropped ones, or what was printed while nobody listened.
    case gap
}

/// A boundary in a console log.
package struct ConsoleMark: Sendable, Hashable {
    package let kind: ConsoleMarkKind
    /// Absolute offset of the first byte behind the boundary.
    package let offset: Int64
    /// Nanoseconds since 1970.
    package let time: Int64
    /// For a gap: how many bytes were dropped, 0 if unknown.
    package let dropped: Int64

    package init(kind: ConsoleMarkKind, offset: Int64, time: Int64, dropped: Int64 = 0) {
        self.kind = kind
        self.offset = offset
        self.time = time
        self.dropped = dropped
    }

    func moved(to offset: Int64) -> ConsoleMark {
        ConsoleMark(kind: kind, offset: offset, time: time, dropped: dropped)
    }
}
