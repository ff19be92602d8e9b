import Foundation
import Glibc

/// A broker that one test has for itself, to stop, kill and restart. Ports and data stay over restarts.
///
/// Starting takes two to three seconds of a processor, so a test that can share takes ``TestBroker``.
package final class PrivateBroker: BrokerControl {
    package let directory: String
    package let port: Int
    private let tlsPort: Int

    private init(directory: String, settings: Settings) {
        self.directory = directory
        port = settings.amqpPort
        tlsPort = settings.tlsPort
    }

    /// Whether RabbitMQ is installed here, for `.enabled(if:)`.
    package static var isAvailable: Bool {
        FileManager.default.fileExists(atPath: "/usr/lib/rabbitmq/lib")
    }

    /// Starts a node, runs `body` with it, and removes it with everything it had.
    ///
    /// - Parameters:
    ///   - tls: Also listen with TLS (``tlsURL``); certificates are in ``tlsDirectory``.
    ///   - configuration: `rabbitmq.conf` keys and values.
    ///   - plugins: Of those that RabbitMQ brings along.
    package static func run<Result>(
        tls: Bool = false,
        configuration: [String: String] = [:],
        plugins: [String] = [],
        options more: [String] = [],
        _ body: (PrivateBroker) async throws -> Result
    ) async throws -> Result {
        try await withTemporaryDirectory { directory in
            let script = Checkout.harness.appending(path: "broker").path
            let options =
                ["--parent", "\(getpid())"] + (tls ? ["--tls"] : [])
                + configuration.flatMap { ["--config", "\($0.key)=\($0.value)"] }
                + plugins.flatMap { ["--plugin", $0] } + more
            _ = try await runCommand(Checkout.python, [script, "start", directory] + options)
            let result: Result
            do {
                let file = URL(filePath: directory).appending(path: "node.json")
                let settings = try JSONDecoder().decode(Settings.self, from: Data(contentsOf: file))
                result = try await body(PrivateBroker(directory: directory, settings: settings))
            } catch {
                _ = try? await runCommand(Checkout.python, [script, "kill", directory])
                throw error
            }
            _ = try await runCommand(Checkout.python, [script, "kill", directory])
            return result
        }
    }

    /// Starts a cluster, runs `body` with its nodes, and removes them. The first node must live as long as the others:
    /// through its port mapper they find each other.
    package static func runCluster<Result>(
        nodes count: Int = 3,
        _ body: ([PrivateBroker]) async throws -> Result
    ) async throws -> Result {
        try await run { first in
            var nodes = [first]
            return try await add(count - 1, to: &nodes, body)
        }
    }

    private static func add<Result>(
        _ count: Int,
        to nodes: inout [PrivateBroker],
        _ body: ([PrivateBroker]) async throws -> Result
    ) async throws -> Result {
        guard count > 0 else { return try await body(nodes) }
        var all = nodes
        return try await run(options: ["--join", nodes[0].directory]) { node in
            all.append(node)
            return try await add(count - 1, to: &all, body)
        }
    }

    /// The transport URL of the TLS listener, virtual host "/", by the name in its certificate: localhost.
    package var tlsURL: String { "rabbit://guest:guest@localhost:\(tlsPort)/" }

    /// Holds `ca.pem`, `client.pem`, `client.key`, and `other-ca.pem`, which did not sign the server's certificate.
    package var tlsDirectory: String { directory + "/tls" }

    /// Starts the node again after ``stop()`` or ``kill()`` and waits until it answers.
    package func start() async throws {
        _ = try await run("start", "--parent", "\(getpid())")
    }

    /// Stops the node in order: clients get `connection.close`, durable data is kept.
    package func stop() async throws { _ = try await run("stop") }

    /// Kills the node with SIGKILL: sockets break, what was not written is lost.
    package func kill() async throws { _ = try await run("kill") }

    /// Stops the node in order and starts it again.
    package func restart() async throws {
        _ = try await run("restart", "--parent", "\(getpid())")
    }

    private struct Settings: Decodable {
        var amqpPort: Int
        var tlsPort: Int

        enum CodingKeys: String, CodingKey {
            case amqpPort = "amqp_port"
            case tlsPort = "tls_port"
        }
    }
}
