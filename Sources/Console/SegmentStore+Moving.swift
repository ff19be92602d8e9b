import Support

/// The destination's side of a moving log (VMOps semantics, section 7.10): it arrives in a store of its own, with the
/// destination's caps, and is put before what was captured here meanwhile.
extension SegmentStore {
    private var incomingStore: SegmentStore {
        SegmentStore(directory: path(Self.incoming), limits: limits, probe: probe)
    }

    /// Makes room for the log named `transfer`, or finds what arrived of it earlier.
    ///
    /// - Returns: where to go on, `nil` for the beginning; and whether it is installed already.
    mutating func prepareIncoming(_ transfer: String) throws(SystemCallError) -> (next: Int64?, isInstalled: Bool) {
        try load()
        if indexContents?.transfer == transfer {
            try removeTree(path(Self.incoming))
            return (nil, true)
        }
        var incoming = incomingStore
        try incoming.load()
        if incoming.indexContents?.transfer == transfer {
            return (incoming.segments.isEmpty ? nil : incoming.retained.upperBound, false)
        }
        try removeTree(path(Self.incoming))
        try step(.makeDirectory)
        try ReactorDirectory.make(directory)
        try ReactorDirectory.make(path(Self.incoming))
        incoming.forget()
        try incoming.load()
        try incoming.writeIndex(.installed(transfer: transfer))
        return (nil, false)
    }

    /// Takes a chunk. What arrived before is skipped; a chunk that begins later is accepted only if the source retains
    /// nothing older, and then the older bytes are given up here too.
    ///
    /// - Returns: where to go on.
    mutating func receive(_ chunk: ConsoleTransferChunk, of transfer: String) throws -> Int64 {
        guard CRC32.of(chunk.data) == chunk.checksum else {
            throw ConsoleError(.checksum, "chunk at \(chunk.offset) is damaged")
        }
        let (next, isInstalled) = try prepareIncoming(transfer)
        if isInstalled { return chunk.nextOffset }
        var incoming = incomingStore
        try incoming.load()
        if let next, chunk.offset > next {
            guard chunk.offset == chunk.firstOffset else {
                throw ConsoleError(.outOfOrder, "chunk at \(chunk.offset) does not continue \(next)")
            }
            try removeTree(path(Self.incoming))
            return try receive(chunk, of: transfer)
        }
        if next == nil { try incoming.start(at: chunk.offset) }
        let known = Int(min(max(0, (next ?? chunk.offset) - chunk.offset), Int64(chunk.data.count)))
        try incoming.append(Array(chunk.data.dropFirst(known)), ReactorBlockPool(budget: .max))
        return incoming.segments.isEmpty ? chunk.offset : incoming.retained.upperBound
    }

    /// Puts the arrived log before the present one, atomically, trimmed to the caps from the oldest byte on. Present
    /// offsets and marks move behind its end, or are given up for it.
    mutating func install(
        _ transfer: String,
        _ seal: ConsoleTransferSeal,
        replacesPresent: Bool = false
    ) throws {
        let (next, isInstalled) = try prepareIncoming(transfer)
        if isInstalled { return }
        guard next == seal.endOffset || (next == nil && seal.firstOffset == seal.endOffset) else {
            throw ConsoleError(.incomplete, "log has arrived up to \(next ?? seal.firstOffset), not \(seal.endOffset)")
        }
        forget()
        try load()
        var arrived = incomingStore
        try arrived.load()
        let own = self
        let incoming = arrived
        let first = next == nil ? seal.endOffset : incoming.retained.lowerBound
        let shift = seal.endOffset - own.retained.lowerBound
        let ownMarks = replacesPresent ? [] : try marks()
        try replaceAll { new throws(SystemCallError) in
            try new.start(at: first)
            try new.copy(incoming, first..<seal.endOffset)
            if !replacesPresent { try new.copy(own, own.retained) }
            for mark in seal.marks { try new.writeIndex(.mark(mark)) }
            for mark in ownMarks {
                try new.writeIndex(.mark(mark.moved(to: max(seal.endOffset, mark.offset + shift))))
            }
            try new.writeIndex(.installed(transfer: transfer))
        }
    }

    mutating func discardIncoming() throws(SystemCallError) {
        try removeTree(path(Self.incoming))
    }
}
