/// A piece of a moving log with its checksum. A plain value, for a call in the process or over the wire.
package struct ConsoleTransferChunk: Sendable, Hashable {
    package let data: [UInt8]
    /// Absolute offset of the first byte.
    package let offset: Int64
    /// CRC-32 of ``data``.
    package let checksum: UInt32
    /// The oldest byte that the source retained when it read the chunk.
    package let firstOffset: Int64
    /// The source's end at that time.
    package let endOffset: Int64

    package init(data: [UInt8], offset: Int64, checksum: UInt32, firstOffset: Int64, endOffset: Int64) {
        self.data = data
        self.offset = offset
        self.checksum = checksum
        self.firstOffset = firstOffset
        self.endOffset = endOffset
    }

    package var nextOffset: Int64 { offset + Int64(data.count) }
}

/// What the source says once nothing more will come.
package struct ConsoleTransferSeal: Sendable, Hashable {
    package let firstOffset: Int64
    package let endOffset: Int64
    package let marks: [ConsoleMark]

    package init(firstOffset: Int64, endOffset: Int64, marks: [ConsoleMark]) {
        self.firstOffset = firstOffset
        self.endOffset = endOffset
        self.marks = marks
    }
}

/// How much of a moving log the destination has.
package struct ConsoleIncoming: Sendable, Hashable {
    /// Where to go on; `nil` for the beginning.
    package let nextOffset: Int64?
    /// Nothing is left to do but to acknowledge.
    package let isInstalled: Bool

    package init(nextOffset: Int64?, isInstalled: Bool) {
        self.nextOffset = nextOffset
        self.isInstalled = isInstalled
    }
}

/// The destination of a moving log, in this process or behind calls to another worker. Every call may be repeated.
package protocol ConsoleDestination: Sendable {
    /// Announces the log; a `transfer` that was never seen gives up what arrived of an earlier one.
    func prepareIncoming(transfer: String) async throws -> ConsoleIncoming

    /// Takes a chunk and says where to go on. Throws ``ConsoleError`` `checksum` or `outOfOrder`.
    func receive(_ chunk: ConsoleTransferChunk, transfer: String) async throws -> Int64

    /// Puts the whole log in place. Throws ``ConsoleError`` `incomplete` if it is not all there.
    func install(_ seal: ConsoleTransferSeal, transfer: String) async throws
}
