import AMQPModel
import AMQPTransport
import Foundation
import Logging
import OsloMessaging
package import RPCClient
package import Support
package import TestSupport

/// A daemon, a client that asks it, and a connection for messages that no client would send.
package struct Bench: Sendable {
    /// The daemon, which can be killed and started again.
    package let daemon: DaemonProcess
    /// Asks it.
    package let client: RPCClient
    private let session: BrokerSession

    /// Runs `body` while the daemon serves.
    ///
    /// - Parameters:
    ///   - clientURL: How the client reaches the broker if not as the daemon does.
    ///   - quorumQueues: As the daemon's option `rabbit_quorum_queue`.
    ///   - prepare: Makes files in the daemon's directory before it starts.
    package static func run(
        _ settings: DaemonSettings = DaemonSettings(),
        clientURL: String? = nil,
        quorumQueues: Bool = false,
        prepare: @escaping @Sendable (_ directory: String) async throws -> Void = { _ in },
        _ body: @escaping @Sendable (Bench) async throws -> Void
    ) async throws {
        try await DaemonProcess.run(settings, prepare: prepare) { daemon in
            let connection = try ConnectionOptions(transportURL: clientURL ?? daemon.url)
            var clientSettings = RPCClientSettings()
            clientSettings.topology.quorumQueue = quorumQueues
            try await withRPCClient(connection: connection, settings: clientSettings, logger: quiet) { client in
                let session = BrokerSession(
                    options: connection,
                    settings: SessionSettings(maximumMessageBytes: 128 << 20),
                    handler: Nobody(),
                    logger: quiet
                )
                try await withThrowingTaskGroup(of: Void.self) { group in
                    group.addTask { try await session.run() }
                    try await body(Bench(daemon: daemon, client: client, session: session))
                    await session.close(draining: .seconds(5))
                    group.cancelAll()
                }
            }
        }
    }

    private static let quiet = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }

    private struct Nobody: DeliveryHandler {
        func received(_ delivery: Delivery) -> Settlement? { .acknowledge }
    }

    // MARK: - Asking

    /// Calls a method of a host; it has longer than `timeout` under a sanitizer.
    @discardableResult
    package func call(
        _ method: String,
        _ args: JSONObject = [:],
        on host: String = "host-a",
        version: String? = nil,
        requestID: String = "req-test",
        timeout: Duration = .seconds(60)
    ) async throws -> JSONValue {
        try await client.call(
            Self.target(host, version),
            method,
            args,
            context: ["request_id": .string(requestID)],
            timeout: timeout * Sanitizer.slowness
        )
    }

    /// Casts a method to a host.
    package func cast(
        _ method: String,
        _ args: JSONObject = [:],
        on host: String = "host-a",
        requestID: String = "req-test"
    ) async throws {
        try await client.cast(Self.target(host, nil), method, args, context: ["request_id": .string(requestID)])
    }

    /// The class that a call failed with, `nil` when it succeeded.
    package func failure(
        _ method: String,
        _ args: JSONObject = [:],
        on host: String = "host-a",
        version: String? = nil,
        timeout: Duration = .seconds(60)
    ) async throws -> String? {
        do {
            try await call(method, args, on: host, version: version, timeout: timeout)
            return nil
        } catch let failure as RemoteFailure {
            return failure.className
        }
    }

    private static func target(_ host: String, _ version: String?) -> RPCTarget {
        RPCTarget(exchange: "nova", topic: "compute", server: host, version: version)
    }

    // MARK: - Messages of any form

    /// Publishes a body as it is to a host's queue.
    package func publish(
        _ body: [UInt8],
        contentType: String? = "application/json",
        to host: String = "host-a"
    ) async throws {
        let message = OutboundMessage(
            exchange: "nova",
            routingKey: "compute.\(host)",
            mandatory: true,
            properties: MessageProperties(
                contentType: contentType,
                contentEncoding: "utf-8",
                headers: [:],
                deliveryMode: 2
            ),
            body: body
        )
        let outcome = try await session.publish(message)
        guard outcome == .confirmed else { throw Unexpected("not published: \(outcome)") }
    }

    /// The same with a text.
    package func publish(_ text: String, contentType: String? = "application/json") async throws {
        try await publish(Array(text.utf8), contentType: contentType)
    }

    // MARK: - What the daemon says of itself

    /// The sum of a metric over the label sets that contain `label`.
    package func metric(_ name: String, _ label: String = "") async throws -> Double {
        let text = try await AdminRequest.get("/metrics", at: daemon.adminSocket)
        let lines = text.split(separator: "\n").filter { line in
            line.hasPrefix(name + " ") || line.hasPrefix(name + "{") && (label.isEmpty || line.contains(label))
        }
        return lines.compactMap { $0.split(separator: " ").last.flatMap { Double($0) } }.reduce(0, +)
    }

    /// What the kernel tells of the daemon that runs now.
    package func process() throws -> ProcessFigures {
        guard let id = daemon.processIdentifier else { throw Unexpected("vmopsd does not run") }
        return try ProcessFigures(id)
    }
}

extension ConnectionOptions {
    /// As a transport URL says, under a name of its own.
    package init(transportURL text: String) throws {
        let url = try TransportURL(text)
        self.init(addresses: url.addresses, virtualHost: url.virtualHost, connectionName: "test:\(UniqueID.make())")
    }
}
