/// The state and the counters of a machine's console (VMOps semantics, sections 5.4 and 7.3).
package struct ConsoleStatus: Sendable, Hashable {
    package var state: ConsoleState
    /// Since this worker began to capture.
    package var bytesIn: Int64
    package var bytesWritten: Int64
    package var bytesDropped: Int64
    /// Captured and not yet written.
    package var bytesPending: Int64
    package var rotations: Int64
    package var reconnects: Int64
    /// Nanoseconds since 1970; `nil` before the first byte.
    package var lastByteTime: Int64?
    /// Absolute offset of the oldest retained byte.
    package var firstOffset: Int64
    package var endOffset: Int64
    /// Why the console is not attached, or not written; `nil` while all is well.
    package var problem: String?
}
