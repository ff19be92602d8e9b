import AMQPModel
import AMQPTransport
import Synchronization

/// A session as the hosts on it see it. Made before the session, which needs its handler first.
final class BrokerLink: ReplyOutlet {
    private let session = Mutex<BrokerSession?>(nil)
    /// Counts losses of the consuming connection: what was delivered before the last one is delivered again.
    private let losses = Atomic<UInt64>(0)

    var epoch: UInt64 { losses.load(ordering: .acquiring) }

    /// From here on both hold each other, until ``disconnect()``.
    func connect(to session: BrokerSession) { self.session.withLock { $0 = session } }

    /// Lets go of the session, which holds its handler, which holds this.
    func disconnect() { session.withLock { $0 = nil } }

    func consumingLost() { losses.add(1, ordering: .acquiringAndReleasing) }

    func publish(_ message: OutboundMessage, completion: @escaping @Sendable (PublishOutcome) -> Void) {
        guard let session = session.withLock({ $0 }) else { return completion(.failed("session closed")) }
        session.publish(message, completion: completion)
    }

    func settle(_ receipt: DeliveryReceipt?, _ settlement: Settlement) {
        guard let receipt else { return }
        session.withLock { $0 }?.settle(receipt, settlement)
    }
}
