import AMQPTransport
import Journal
import OsloMessaging
import Synchronization

/// A served host at work: what its requests need.
final class HostService: Sendable {
    let name: String
    /// Position in the admission's table.
    let index: Int
    let dispatcher: RPCDispatcher
    let journal: Journal
    let recovery: (any RequestRecovery)?
    let link: BrokerLink
    let publisher: ReplyPublisher
    private let seen: Mutex<DuplicateFilter>

    init(
        _ host: ServedHost,
        index: Int,
        link: BrokerLink,
        publisher: ReplyPublisher,
        settings: RPCWorkerSettings
    ) {
        name = host.name
        self.index = index
        dispatcher = RPCDispatcher(endpoints: host.endpoints + (settings.ping ? [PingEndpoint()] : []))
        journal = host.journal
        recovery = host.recovery
        self.link = link
        self.publisher = publisher
        seen = Mutex(DuplicateFilter(capacity: settings.duplicateCapacity))
    }

    /// Notes the id of a read; `false` when it was seen before.
    func isNew(_ uniqueID: String?) -> Bool {
        guard let uniqueID else { return true }
        return seen.withLock { $0.insert(uniqueID) }
    }
}
