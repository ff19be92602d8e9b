import CSystemShims
import Glibc
import Support
import Synchronization

/// One pidfd on the reactor, which reports it readable when the process has ended.
final class ProcessWatch: ReactorHandler {
    let identity: ProcessIdentity
    let descriptor: Int32
    let token = ReactorToken()
    private let isChild: Bool
    /// Whether it leads a process group that ends with it.
    private let endsGroup: Bool
    private let table: ProcessTable
    private let isClosed = Atomic(false)

    init(_ identity: ProcessIdentity, descriptor: Int32, isChild: Bool, endsGroup: Bool = false, table: ProcessTable) {
        self.endsGroup = endsGroup
        self.identity = identity
        self.descriptor = descriptor
        self.isChild = isChild
        self.table = table
    }

    func ready() -> ReactorVerdict {
        var end = ProcessEnd.unknown
        if isChild {
            // Its number is its own until it is reaped, and with it the group's.
            if endsGroup { Spawn.endGroup(identity.pid) }
            guard let status = table.reap(identity) else { return .again }
            end = status
        }
        table.ended(identity, end, remembered: isChild)
        return .remove
    }

    /// The reactor's thread has let go of the handler.
    deinit { drop() }

    func refused(_ error: SystemCallError) {
        // Neither a bad descriptor nor one watched twice can come about; whoever waits must not wait for ever.
        table.ended(identity, .unknown, remembered: false)
    }

    /// Signals its process group too, if that is its own. Under the table's lock, so that it has not been reaped.
    func signal(_ number: Int32) {
        if endsGroup { kill(-identity.pid, number) }
        _ = vmops_pidfd_send_signal(descriptor, number)
    }

    /// Closes the descriptor, once.
    func drop() {
        if !isClosed.exchange(true, ordering: .relaxed) { close(descriptor) }
    }
}
