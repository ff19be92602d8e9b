import Foundation

/// A TCP proxy in front of a broker that breaks connections on demand.
package struct FaultProxy: Sendable {
    /// The port on 127.0.0.1 to connect to instead of the broker's.
    package let port: Int
    private let process: LineProcess

    /// Which way bytes go that ``freeze(_:)`` holds back.
    package enum Direction: String, Sendable {
        case toBroker = "to_broker"
        case toClient = "to_client"
        case both
    }

    /// Connections and bytes that went through, since the proxy started.
    package struct Statistics: Sendable, Decodable {
        /// Connections open now, and all that were ever accepted.
        package let open: Int
        package let accepted: Int
        package let bytesToBroker: Int
        package let bytesToClient: Int

        enum CodingKeys: String, CodingKey {
            case open, accepted
            case bytesToBroker = "to_broker"
            case bytesToClient = "to_client"
        }
    }

    /// Runs `body` with a proxy to `broker`.
    package static func run<Result: Sendable>(
        to broker: some BrokerControl,
        _ body: (FaultProxy) async throws -> Result
    ) async throws -> Result {
        let script = Checkout.harness.appending(path: "proxy.py").path
        return try await LineProcess.run(Checkout.python, [script, broker.host, "\(broker.port)"]) { process in
            let line = try await process.readLine()
            let hello = try JSONDecoder().decode([String: Int].self, from: Data(line.utf8))
            guard let port = hello["port"] else { throw ConditionNotMet(description: "the proxy said \(line)") }
            return try await body(FaultProxy(port: port, process: process))
        }
    }

    /// Resets every open connection (RST on both sides). New ones are accepted.
    package func cut() async throws { try await command("cut") }

    /// Silently stops forwarding, on open and on new connections, as a network that drops packets.
    package func freeze(_ direction: Direction = .both) async throws {
        try await command("freeze \(direction.rawValue)")
    }

    /// Forwards again, first what was held back.
    package func resume() async throws { try await command("resume") }

    /// Stops listening: new connections are refused until ``accept()``. Open ones stay.
    package func refuse() async throws { try await command("refuse") }

    /// Listens again on the same port.
    package func accept() async throws { try await command("accept") }

    package func statistics() async throws -> Statistics {
        try JSONDecoder().decode(Statistics.self, from: Data(try await process.ask("statistics").utf8))
    }

    private func command(_ name: String) async throws {
        let answer = try await process.ask(name)
        guard answer == "{}" else { throw ConditionNotMet(description: "the proxy said \(answer)") }
    }
}
