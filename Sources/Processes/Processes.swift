import CSystemShims
import Glibc
package import Logging
package import Support
import Synchronization

/// Starts programs that outlive us and watches processes, our children and those of an earlier worker, until they end.
///
/// Every process is held by a pidfd, so that nothing ever reaches another one that has got its pid. Children are
/// reaped when they end whether anybody waits or not; the last ``rememberedEnds`` of their statuses are kept for those
/// who ask later. One descriptor per watched process, and any number of waiters: bounded by who starts and waits.
/// Callable on any thread; what waits for a disk says so.
package final class Processes: Sendable {
    /// How many statuses of ended children are kept; older ones become ``ProcessEnd/unknown``.
    package static let rememberedEnds = 1024

    private let table: ProcessTable
    private let reactor: Reactor
    private let logger: Logger

    package init(reactor: Reactor, logger: Logger) {
        self.reactor = reactor
        self.logger = logger
        table = ProcessTable()
    }

    deinit {
        for watch in table.takeAll() { reactor.remove(watch.token) { watch.drop() } }
    }

    /// Starts the program in a session of its own, with default signals and nothing open but what is passed. It lives
    /// on when we end. Blocks until it is executed: call it where blocking is allowed.
    ///
    /// - Throws: also when the program cannot be executed; nothing runs then.
    package func start(_ command: DetachedCommand) throws(ProcessError) -> ProcessIdentity {
        let pid = try Spawn.run(command)
        // Nobody else reaps it, so the pid is its own and listed until we ask, even if it has ended already.
        let descriptor = vmops_pidfd_open(pid)
        let number = errno
        guard descriptor >= 0, let status = ProcessStatus(pid: pid) else {
            if descriptor >= 0 { close(descriptor) }
            Spawn.abandon(pid)
            let cause = SystemCallError(
                descriptor < 0 ? "pidfd_open" : "/proc/\(pid)/stat",
                descriptor < 0 ? number : ESRCH
            )
            throw ProcessError(.resources, "\(command.executable) cannot be watched", cause: cause)
        }
        let identity = ProcessIdentity(pid: pid, startTime: status.startTime)
        logger.debug("process started", metadata: ["pid": "\(pid)", "program": "\(command.executable)"])
        let endsGroup = command.endsItsGroup
        watch(
            identity,
            ProcessWatch(identity, descriptor: descriptor, isChild: true, endsGroup: endsGroup, table: table)
        )
        return identity
    }

    /// Whether it is that very process and runs, or could: a stopped one does, a zombie does not.
    package func isAlive(_ identity: ProcessIdentity) -> Bool {
        guard let status = ProcessStatus(pid: identity.pid) else { return false }
        return status.startTime == identity.startTime && !status.hasEnded
    }

    /// Waits until it has ended; at once if it has.
    ///
    /// - Returns: how it ended, if it was our child and not too long ago; ``ProcessEnd/waitCancelled`` when the task
    ///   is cancelled.
    package func waitForEnd(_ identity: ProcessIdentity) async -> ProcessEnd {
        let waiter = ProcessTable.Waiter()
        return await withTaskCancellationHandler {
            while true {
                switch table.lookUp(identity) {
                case .ended(let end): return end
                case .watched: return await table.wait(waiter, for: identity)
                case .unheard: break
                }
                switch open(identity) {
                case .success(let watch): self.watch(identity, watch)
                case .failure(let error):
                    if error.number == ESRCH { return .unknown }
                    // No descriptor to be had: as long as that lasts there is nothing but to look again.
                    logger.warning("process cannot be watched", metadata: ["error": "\(error)"])
                    do {
                        try await Task.sleep(for: .milliseconds(200))
                    } catch {
                        return .waitCancelled
                    }
                }
            }
        } onCancel: {
            table.cancel(waiter, for: identity)
        }
    }

    /// Sends a signal to that very process, and to its group if that ends with it; nothing happens if it has ended.
    package func signal(_ identity: ProcessIdentity, _ number: Int32) {
        if table.signal(identity, number) { return }
        guard case .success(let watch) = open(identity) else { return }
        watch.signal(number)
        watch.drop()
    }

    /// A pidfd of that very process. One with the right start time after the descriptor was opened had the pid
    /// before, so the descriptor is its own.
    private func open(_ identity: ProcessIdentity) -> Result<ProcessWatch, SystemCallError> {
        let descriptor = vmops_pidfd_open(identity.pid)
        guard descriptor >= 0 else {
            // A thread's number is no process's.
            return .failure(SystemCallError("pidfd_open", errno == EINVAL ? ESRCH : errno))
        }
        guard ProcessStatus(pid: identity.pid)?.startTime == identity.startTime else {
            close(descriptor)
            return .failure(SystemCallError("pidfd_open", ESRCH))
        }
        return .success(ProcessWatch(identity, descriptor: descriptor, isChild: false, table: table))
    }

    private func watch(_ identity: ProcessIdentity, _ watch: ProcessWatch) {
        guard table.insert(watch) else { return watch.drop() }
        reactor.add(watch.token, watch.descriptor, watch)
    }
}
