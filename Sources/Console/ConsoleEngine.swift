package import Support

/// The threads and the memory that all consoles of a process share: one that reads, a few that write.
///
/// Made once per process and given to every host's ``ConsoleService``.
package final class ConsoleEngine: Sendable {
    let reactor: Reactor
    let pool: ReactorPool
    let blocks: ReactorBlockPool

    /// - Parameters:
    ///   - writers: threads that do the calls on files; more of them help only if several disks are slow.
    ///   - bufferBytes: memory for captured bytes of all machines together, beside 16 KiB for each.
    package init(writers: Int = 2, bufferBytes: Int = 32 * 1024 * 1024) throws(SystemCallError) {
        reactor = try Reactor(name: "vmops-console")
        pool = try ReactorPool(name: "vmops-log", threads: writers)
        blocks = ReactorBlockPool(budget: bufferBytes)
    }
}
