/// Names one process for good: the pid alone may be another's soon.
package struct ProcessIdentity: Sendable, Hashable {
    package let pid: Int32
    /// When it started, in clock ticks since the machine's start (`/proc/<pid>/stat`, field 22).
    package let startTime: UInt64

    package init(pid: Int32, startTime: UInt64) {
        self.pid = pid
        self.startTime = startTime
    }
}
