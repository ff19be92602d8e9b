import Glibc
package import Support

/// A contiguous piece of a console log.
package struct ConsoleChunk: Sendable, Hashable {
    package let data: [UInt8]
    /// Absolute offset of the first byte of ``data``; beyond the asked one if that was not retained any more.
    package let offset: Int64
    /// The oldest retained byte's offset.
    package let firstOffset: Int64
    /// The offset behind the newest byte.
    package let endOffset: Int64

    package init(data: [UInt8], offset: Int64, firstOffset: Int64, endOffset: Int64) {
        self.data = data
        self.offset = offset
        self.firstOffset = firstOffset
        self.endOffset = endOffset
    }

    package var nextOffset: Int64 { offset + Int64(data.count) }

    /// Whether nothing follows at present.
    package var eof: Bool { nextOffset == endOffset }
}

extension SegmentStore {
    private static let tailStep = 16 * 1024

    /// The retained range of absolute offsets.
    package mutating func range() throws(SystemCallError) -> Range<Int64> {
        try attempt { $0.retained }
    }

    /// Up to `maxBytes` from `offset`; a negative offset counts from the end, one that is not retained any more means
    /// the oldest byte, one beyond the end the end.
    package mutating func read(from offset: Int64, maxBytes: Int) throws(SystemCallError) -> ConsoleChunk {
        try attempt { store throws(SystemCallError) in
            let retained = store.retained
            let wanted = offset < 0 ? retained.upperBound + max(offset, -retained.upperBound) : offset
            let start = min(max(wanted, retained.lowerBound), retained.upperBound)
            let count = min(Int64(max(0, maxBytes)), retained.upperBound - start)
            return ConsoleChunk(
                data: try store.bytes(start..<(start + count)),
                offset: start,
                firstOffset: retained.lowerBound,
                endOffset: retained.upperBound
            )
        }
    }

    /// The bytes of the last `lines` lines, at most `maxBytes`; with `nil` lines as many bytes as retained and allowed.
    ///
    /// A newline at the very end ends the last line and is left out when lines are counted. Cut for its size, the tail
    /// begins at a line start if there is one. Reads backwards and no further than needed.
    package mutating func tail(lines: Int?, maxBytes: Int) throws(SystemCallError) -> ConsoleTail {
        try attempt { store throws(SystemCallError) in
            let retained = store.retained
            let first = max(retained.lowerBound, retained.upperBound - Int64(max(0, maxBytes)))
            guard let lines else {
                let data = try store.bytes(first..<retained.upperBound)
                return ConsoleTail(data: data[...], isCut: first > 0, mayDropLine: first > retained.lowerBound)
            }
            guard lines > 0 else { return ConsoleTail(data: [], isCut: false, mayDropLine: false) }
            var pieces: [[UInt8]] = []
            var start = retained.upperBound
            var newlines = 0
            while start > first {
                let from = max(first, start - Int64(Self.tailStep))
                let piece = try store.bytes(from..<start)
                if start == retained.upperBound, piece.last == UInt8(ascii: "\n") { newlines = -1 }
                var position = piece.count
                while position > 0, let newline = piece[..<position].lastIndex(of: UInt8(ascii: "\n")) {
                    newlines += 1
                    position = newline
                    if newlines == lines {
                        pieces.append(Array(piece[(newline + 1)...]))
                        return ConsoleTail(pieces, isCut: false, mayDropLine: false)
                    }
                }
                pieces.append(piece)
                start = from
            }
            return ConsoleTail(pieces, isCut: first > 0, mayDropLine: first > retained.lowerBound)
        }
    }

    /// Marks in the order of their making; offsets never lie beyond the end.
    package mutating func marks() throws(SystemCallError) -> [ConsoleMark] {
        try attempt { store throws(SystemCallError) in
            let end = store.retained.upperBound
            return (store.indexContents?.marks ?? []).map { mark in
                mark.offset > end ? mark.moved(to: end) : mark
            }
        }
    }

    /// The bytes of a retained range.
    func bytes(_ range: Range<Int64>) throws(SystemCallError) -> [UInt8] {
        var result: [UInt8] = []
        result.reserveCapacity(range.count)
        var start = retained.lowerBound
        for segment in segments {
            let end = start + Int64(segment.size)
            let wanted = range.clamped(to: start..<end)
            if !wanted.isEmpty {
                let file = try ReactorFile.reading(path(segment.name))
                let data = try file?.read(at: Int(wanted.lowerBound - start), count: wanted.count)
                guard let data, data.count == wanted.count else {
                    // Somebody else shortened or removed the file; the next call looks again.
                    throw SystemCallError("read", ESTALE, path: path(segment.name))
                }
                result += data
            }
            start = end
        }
        return result
    }
}

/// The end of a log, before it becomes text.
package struct ConsoleTail: Sendable {
    package let data: ArraySlice<UInt8>
    /// Whether bytes were captured before these, so that a character may have been cut.
    package let isCut: Bool

    fileprivate init(data: ArraySlice<UInt8>, isCut: Bool, mayDropLine: Bool) {
        // Cut at an arbitrary byte: begin with the first whole line, if there is one.
        if mayDropLine, let newline = data.firstIndex(of: UInt8(ascii: "\n")), newline + 1 < data.endIndex {
            self.data = data[(newline + 1)...]
            self.isCut = false
        } else {
            self.data = data
            self.isCut = isCut
        }
    }

    fileprivate init(_ backwards: [[UInt8]], isCut: Bool, mayDropLine: Bool) {
        var data = backwards.reversed().flatMap { $0 }
        if data.last == UInt8(ascii: "\n") { data.removeLast() }
        self.init(data: data[...], isCut: isCut, mayDropLine: mayDropLine)
    }
}
