import AMQPTransport
import Journal
import OsloMessaging
import Support

/// A read on its way.
struct ReadTicket: Sendable {
    typealias Handler = @Sendable (RPCRequest) async throws -> JSONValue

    let host: HostService
    let request: RPCRequest
    let handler: Handler
    let arrival: Arrival
    let watch: CallMonitor.Watch?
    /// Still to be settled, and looked for among the duplicates, when it starts.
    var receipt: DeliveryReceipt?
}

/// A mutating request on its way.
struct MutatingTicket: Sendable {
    typealias Handler = @Sendable (RPCRequest) async throws -> JSONValue

    let host: HostService
    /// `nil` when it has to be read from the journal.
    var request: RPCRequest?
    /// `nil` when it has to be looked up again.
    var handler: Handler?
    let uniqueID: String
    let arrival: Arrival
    let watch: CallMonitor.Watch?
    let isCall: Bool
    /// An operation of another process waits for it; see ``RPCWorkerSettings/partnerMethods``.
    var isPartner = false
    /// The body to be journalled; empty afterwards.
    var body: [UInt8]
    /// `nil` once the delivery is settled.
    var receipt: DeliveryReceipt?
    /// Set once it is in the journal.
    var entry: EntryID?
    /// Its operation may have begun before a restart.
    var wasStarted = false
}

/// When a request came and how long it is worth running.
struct Arrival: Sendable {
    let receivedAt: ContinuousClock.Instant
    /// The broker's time limit for the message, counted from reception: after it the caller is gone. `nil` for casts.
    let expiresAt: ContinuousClock.Instant?

    var elapsed: Duration { .now - receivedAt }

    func isExpired(at now: ContinuousClock.Instant) -> Bool { expiresAt.map { $0 <= now } ?? false }
}
