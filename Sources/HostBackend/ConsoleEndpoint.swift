/// Where a machine's serial output comes from. The backend opens it, the reader owns it from then on.
package enum ConsoleEndpoint: Sendable {
    /// An open non-blocking descriptor (FIFO, socket, pseudo terminal). End of file = the machine closed its side.
    case descriptor(ConsoleDescriptor)
    /// Chunks pushed by a backend in another process.
    case stream(any ConsoleStream)
}

/// An open console descriptor with the duty to close it, exactly once, by whoever holds it last.
package struct ConsoleDescriptor: Sendable {
    package let fileDescriptor: Int32

    package init(fileDescriptor: Int32) { self.fileDescriptor = fileDescriptor }
}

/// Console output that arrives as chunks, in order; asking for the next chunk is the credit for it.
package protocol ConsoleStream: Sendable {
    /// The next bytes, never empty; `nil` at the end. Throws when the endpoint was lost.
    func next() async throws -> [UInt8]?

    /// What is missing in front of the last chunk, or at the end; each is told once.
    func takeLosses() -> [ConsoleLoss]

    /// Ends the stream; a waiting ``next()`` returns `nil`.
    func close() async
}

extension ConsoleStream {
    package func takeLosses() -> [ConsoleLoss] { [] }
}

/// Console output that never arrived.
package enum ConsoleLoss: Sendable, Hashable {
    case bytes(Int)
    /// How much is not known.
    case unknown
}
