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
    private let table: ProcessTable
    private let isClosed = Atomic(false)

    init(_ identity: ProcessIdentity, descriptor: Int32, isChild: Bool, table: ProcessTable) {
        self.identity = identity
        self.descriptor = descriptor
        self.isChild = isChild
        self.table = table
    }

    func ready() -> ReactorVerdict {
        var end = ProcessEnd.unknown
        if isChild {
            guard let status = Spawn.reap(identity.pid) else { return .again }
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

    func signal(_ number: Int32) { _ = vmops_pidfd_send_signal(descriptor, number) }

    /// Closes the descriptor, once.
    func drop() {
        if !isClosed.exchange(true, ordering: .relaxed) { close(descriptor) }
    }
}
