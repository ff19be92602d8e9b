import DaemonBench
import Foundation
import Support
import TestSupport
import Testing

/// What comes over brokers of their own, a number of times, while a daemon has traffic.
enum BrokerRounds {
    static let options = [
        "oslo_messaging_rabbit": ["heartbeat_timeout_threshold": "4"],
        "simulated": ["delay_set_state_ms": "20", "migration_ms": "60", "boot_lines": "3", "lines_per_second": "20"],
    ]

    static func traffic(losesRequests: Bool = false) -> Traffic.Settings {
        var settings = Traffic.Settings(drivers: 6, floodTargets: 4, floodWave: 20, pause: .milliseconds(10))
        settings.losesRequests = losesRequests
        // Where requests are lost, those who wait for them must not wait long.
        if losesRequests { settings.timeout = .seconds(8) }
        return settings
    }

    /// Replies and unsaved requests go with a broker's memory: callers may time out, but nothing is half done.
    static func losses(_ rounds: Int, ended: @escaping @Sendable (TrafficCounts) -> Void) async throws {
        try await PrivateBroker.run { broker in
            try await Bench.run(DaemonSettings(options: options, url: broker.url)) { bench in
                let counts = try await Traffic.run(bench, traffic(losesRequests: true)) { traffic in
                    for _ in 0..<rounds {
                        try await traffic.survives("orderly restart of the broker") { try await broker.restart() }
                        try await traffic.survives("kill -9 of the broker") {
                            try await broker.kill()
                            try await broker.start()
                        }
                        try await traffic.survives("deleted queues") { try await broker.deleteQueues() }
                    }
                    let queues = try await broker.queueNames(virtualHost: "/")
                    #expect(queues.contains("compute.host-a") && queues.contains("compute.host-b"))
                }
                ended(counts)
            }
        }
    }

    /// The nodes of a cluster go and come back, with queues that all of them have.
    static func cluster(_ rounds: Int, ended: @escaping @Sendable (TrafficCounts) -> Void) async throws {
        try await PrivateBroker.runCluster { nodes in
            var options = options
            options["oslo_messaging_rabbit"]?["rabbit_quorum_queue"] = "true"
            var settings = DaemonSettings(options: options)
            // The client is connected to the first node, the daemon to one of the others: which one, it draws.
            let others = Array(nodes.dropFirst())
            settings.url = "rabbit://" + others.map { "guest:guest@127.0.0.1:\($0.port)" }.joined(separator: ",") + "/"
            try await Bench.run(settings, clientURL: nodes[0].url, quorumQueues: true) { bench in
                let counts = try await Traffic.run(bench, traffic()) { traffic in
                    for _ in 0..<rounds {
                        let first = try await connected(others)
                        try await traffic.survives("kill -9 of the node that serves") { try await first.kill() }
                        try await traffic.survives("its return") { try await first.start() }
                        let second = try await connected(others)
                        try await traffic.survives("orderly end of the node that serves") { try await second.stop() }
                        try await traffic.survives("its return") { try await second.start() }
                    }
                }
                ended(counts)
            }
        }
    }

    /// The node to which a client is connected.
    private static func connected(_ nodes: [PrivateBroker]) async throws -> PrivateBroker {
        var found: PrivateBroker?
        try await eventually("a connection to one of the nodes") {
            for node in nodes where found == nil {
                if try await node.evaluate("rabbit_networking:local_connections()") != "[]" { found = node }
            }
            return found != nil
        }
        guard let found else { throw Unexpected("no node") }
        return found
    }
}
