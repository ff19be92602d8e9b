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
    /// The machine's side, where a silent console can do without a descriptor.
    package let silence: (any ConsoleSilence)?

    package init(fileDescriptor: Int32, silence: (any ConsoleSilence)? = nil) {
        self.fileDescriptor = fileDescriptor
        self.silence = silence
    }
}

/// The machine's side of a pipe whose reader may give it up while nothing comes and stays the console's reader all the
/// same: then a silent machine costs no descriptor. Nothing is lost by it, for the machine's side agrees only to give
/// up an empty pipe.
///
/// None of the calls blocks; they may be made on any thread.
package protocol ConsoleSilence: Sendable {
    /// The reader has had nothing for a while. On `true` the machine has closed its end of the pipe, which is empty, and
    /// the reader closes its own; on `false` nothing has changed.
    ///
    /// - Parameter wake: called once, when the machine prints again, with the reading end of another pipe, or with
    ///   `nil` at the end of the console. That may be before this returns. It must not call back.
    func begin(_ wake: @escaping @Sendable (ConsoleDescriptor?) -> Void) -> Bool

    /// The reader has gone: `wake` is let go of, and somebody else may open the console.
    func giveUp()
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
