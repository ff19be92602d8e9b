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
            // The client is connected to the first node, the daemon to one of the others: it shuffles the list.
            let addresses = nodes[1...].map { "guest:guest@127.0.0.1:\($0.port)" }
            settings.url = "rabbit://" + addresses.joined(separator: ",") + "/"
            try await Bench.run(settings, clientURL: nodes[0].url, quorumQueues: true) { bench in
                // It leads the queues, for they are declared through it.
                let leader = try await theOne(of: nodes[1...]) { node in
                    try await node.evaluate("rabbit_networking:local_connections()") != "[]"
                }
                let next = leader === nodes[1] ? nodes[2] : nodes[1]
                let counts = try await Traffic.run(bench, traffic()) { traffic in
                    for _ in 0..<rounds {
                        try await traffic.survives("kill -9 of the node that leads the queues") {
                            try await leader.kill()
                        }
                        try await traffic.survives("its return") { try await leader.start() }
                        try await traffic.survives("orderly end of the node that serves now") {
                            try await next.stop()
                        }
                        try await traffic.survives("its return") { try await next.start() }
                    }
                }
                ended(counts)
            }
        }
    }

    /// The only node of which the condition holds.
    private static func theOne(
        of nodes: ArraySlice<PrivateBroker>,
        where condition: (PrivateBroker) async throws -> Bool
    ) async throws -> PrivateBroker {
        var found: [PrivateBroker] = []
        for node in nodes where try await condition(node) { found.append(node) }
        #expect(found.count == 1)
        return try #require(found.first)
    }
}
