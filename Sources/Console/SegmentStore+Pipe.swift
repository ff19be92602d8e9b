import Support

/// How far the taking of a pipe's bytes came.
enum PipeState: Sendable, Hashable {
    /// There may be more.
    case more
    case empty
    /// Empty, and nobody writes to it any more.
    case end
}

extension SegmentStore {
    /// Moves bytes from a pipe behind the log's end, at most about `limit`, rotating as ``append(_:)`` does.
    ///
    /// No byte passes through this process: killed at any instant, it leaves each in the pipe or in a segment, and the
    /// segment's length says which. Only to find the line at which a segment should end its last bytes are looked at.
    ///
    /// - Parameter moved: grows by the bytes that reached the segments, also when it throws.
    mutating func take(
        _ pipe: ReactorPipe,
        limit: Int,
        moved: inout Int
    ) throws(SystemCallError) -> PipeState {
        var total = 0
        defer { moved += total }
        return try attempt { store throws(SystemCallError) in
            try store.findEnd()
            // A machine that never prints has no file.
            if !store.isOpen {
                switch pipe.look {
                case .got: break
                case .empty: return .empty
                case .end: return .end
                }
            }
            while total < limit {
                let (file, size) = try store.openCurrent()
                let room = store.limits.segmentBytes - size
                var count = room - Self.newlineWindow
                var isCut = false
                if count <= 0 {
                    switch try store.cut(pipe, room: room) {
                    case .empty: return .empty
                    case .end: return .end
                    case .got(let cut): (count, isCut) = (cut.count, cut.rotates)
                    }
                }
                if count > 0 {
                    let wanted = min(count, limit - total)
                    try store.step(.write)
                    switch try pipe.move(wanted, to: file) {
                    case .empty: return .empty
                    case .end: return .end
                    case .got(let got):
                        total += got
                        store.currentSize = size + got
                        store.endsWithNewline = nil
                        if got < wanted { return .empty }
                        if wanted < count { return .more }
                    }
                }
                if isCut { try store.rotate() }
            }
            return .more
        }
    }

    private struct Cut: Equatable {
        var count: Int
        var rotates: Bool
    }

    /// How many of the next bytes still go into the present segment, which has `room` for few.
    private func cut(_ pipe: ReactorPipe, room: Int) throws(SystemCallError) -> ReactorPipe.Outcome<Cut> {
        let ahead: [UInt8]
        switch try pipe.peek(max(0, room) + 1) {
        case .empty: return .empty
        case .end: return .end
        case .got(let bytes): ahead = bytes
        }
        if ahead.count <= room { return .got(Cut(count: ahead.count, rotates: false)) }
        guard room > 0 else { return .got(Cut(count: 0, rotates: true)) }
        if let newline = ahead[..<room].lastIndex(of: UInt8(ascii: "\n")) {
            return .got(Cut(count: newline + 1, rotates: true))
        }
        return .got(Cut(count: try isBestCut(room: room) ? 0 : room, rotates: true))
    }
}
