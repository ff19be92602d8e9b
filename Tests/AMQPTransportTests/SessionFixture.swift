import AMQPModel
import Foundation
import Logging
import Support
import Synchronization
import TestSupport
import Testing

@testable import AMQPTransport

/// Records what a session tells its handler, and settles as told.
final class Recorder: DeliveryHandler {
    private struct State {
        var deliveries: [Delivery] = []
        var events: [SessionEvent] = []
    }

    private let state = Mutex(State())
    private let settlement: @Sendable (Delivery) -> Settlement?

    init(settlement: @escaping @Sendable (Delivery) -> Settlement? = { _ in .acknowledge }) {
        self.settlement = settlement
    }

    func received(_ delivery: Delivery) -> Settlement? {
        state.withLock { $0.deliveries.append(delivery) }
        return settlement(delivery)
    }

    func sessionChanged(_ event: SessionEvent) {
        state.withLock { $0.events.append(event) }
    }

    var deliveries: [Delivery] { state.withLock { $0.deliveries } }
    var events: [SessionEvent] { state.withLock { $0.events } }
    var bodies: [String] { deliveries.map { String(decoding: $0.body, as: UTF8.self) } }

    func count(where predicate: (SessionEvent) -> Bool) -> Int { events.count(where: predicate) }
    var losses: Int {
        count { event in
            if case .lost = event { true } else { false }
        }
    }
}

/// Publishes the body of every delivery to the queue that its `reply-to` header names.
final class Echo: DeliveryHandler {
    /// The session holds its handler.
    private struct Attached {
        weak var session: BrokerSession?
    }

    private let attached = Mutex(Attached())

    func attach(_ session: BrokerSession) { attached.withLock { $0.session = session } }

    func received(_ delivery: Delivery) -> Settlement? {
        guard case .string(let queue)? = delivery.properties.headers?["reply-to"] else {
            return .reject(requeue: false)
        }
        attached.withLock { $0.session }?.publish(.to(queue: queue, delivery.body))
        return .acknowledge
    }
}

extension OutboundMessage {
    static func to(queue: String, _ body: [UInt8], mandatory: Bool = true) -> OutboundMessage {
        OutboundMessage(
            exchange: "",
            routingKey: queue,
            mandatory: mandatory,
            properties: MessageProperties(
                contentType: "application/json",
                contentEncoding: "utf-8",
                headers: [:],
                deliveryMode: 2,
                priority: 0
            ),
            body: body
        )
    }

    static func to(queue: String, _ text: String) -> OutboundMessage { to(queue: queue, Array(text.utf8)) }
}

extension ConnectionOptions {
    /// Options for a transport URL as the broker fixtures give it.
    static func url(_ text: String, port: Int? = nil, heartbeatSeconds: Int = 60) throws -> ConnectionOptions {
        let parts = try #require(URLComponents(string: text))
        let host = try #require(parts.host)
        let address = BrokerAddress(
            host: host.trimmingCharacters(in: CharacterSet(charactersIn: "[]")),
            port: port ?? parts.port ?? 5672,
            user: parts.user ?? "guest",
            password: Redacted(parts.password ?? "guest")
        )
        let virtualHost = String(parts.path.dropFirst())
        return ConnectionOptions(
            addresses: [address],
            virtualHost: virtualHost.isEmpty ? "/" : virtualHost,
            heartbeatSeconds: heartbeatSeconds,
            connectionName: "test:\(getpid()):\(UniqueID.make())"
        )
    }
}

/// One durable queue with one consumer, which is what most tests need.
func queueTopology(_ name: String, tag: String = "1", durable: Bool = false, consume: Bool = true) -> [TopologyStep] {
    [.queue(QueueDeclaration(name: name, durable: durable))]
        + (consume ? [.consumer(ConsumerDeclaration(queue: name, tag: tag))] : [])
}

/// Runs `body` with a session that is served meanwhile, and closes it in order.
///
/// - Parameter ready: Wait until the topology is in place before `body` starts.
func withSession<Result: Sendable>(
    _ options: ConnectionOptions,
    topology: [TopologyStep] = [],
    settings: SessionSettings = SessionSettings(),
    handler: any DeliveryHandler,
    ready: Bool = true,
    _ body: (BrokerSession) async throws -> Result
) async throws -> Result {
    var settings = settings
    settings.topology = topology
    var logger = Logger(label: "test")
    logger.logLevel = ProcessInfo.processInfo.environment["VMOPS_TEST_LOG"] == nil ? .critical : .debug
    let session = BrokerSession(options: options, settings: settings, handler: handler, logger: logger)
    (handler as? Echo)?.attach(session)
    return try await withThrowingTaskGroup(of: Void.self) { group in
        group.addTask { try await session.run() }
        if ready { try await session.waitUntilReady() }
        let result = try await body(session)
        await session.close(draining: .seconds(10))
        try await group.waitForAll()
        return result
    }
}

/// `#expect(left == right)` for expressions that change something, which the macro does not take.
func check<Value: Equatable>(
    _ left: Value,
    _ right: Value,
    _ comment: Comment? = nil,
    sourceLocation: SourceLocation = #_sourceLocation
) {
    #expect(left == right, comment, sourceLocation: sourceLocation)
}
