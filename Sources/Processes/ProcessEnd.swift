/// How a process ended, as far as can be known.
package enum ProcessEnd: Sendable, Hashable {
    /// It was our child and left with this status.
    case exited(Int32)
    /// It was our child and this signal ended it.
    case signalled(Int32)
    /// It is gone; an earlier worker was its parent, or somebody else has asked for its status.
    case unknown
    /// It may live: the task that waited was cancelled.
    case waitCancelled
}
