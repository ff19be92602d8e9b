import AMQPModel
import DaemonBench
import Foundation
import Logging
import OsloMessaging
import RPCClient
import Support
import TestSupport
import Testing

/// Many hosts over several processes on a cluster of three nodes in which every queue is a quorum queue, replies and
/// fan-outs included. A node is killed while calls and casts come from clients of all nodes, and comes back: nobody
/// notices but by the time it takes.
@Suite(.enabled(if: PrivateBroker.isAvailable), .timeLimit(.minutes(60)), .serialized)
struct ClusterTests {
    private static let workers = 4
    private static let hostsPerWorker = TestForm.number("VMOPS_TEST_CLUSTER_HOSTS", short: 8, long: 200) / workers
    private static let kills = TestForm.number("VMOPS_TEST_NODE_KILLS", short: 1, long: 10)
    private static let callersPerClient = 4

    @Test func aNodeIsKilledUnderLoadAndNothingIsLost() async throws {
        try await PrivateBroker.runCluster { nodes in
            let fleet = settings(nodes)
            let start = ContinuousClock.now
            try await Fleet.run(fleet) { fleet in
                try await everywhere(fleet.workers) { try await $0.waitForLog(" serving", timeout: .seconds(600)) }
                try await fleet.untilAllAnswer()
                print("\(fleet.allHosts.count) hosts on a cluster answered after \(ContinuousClock.now - start)")
                try await Self.report(nodes, "before the load")
                let queues = try await BrokerFigures(nodes[0]).queues
                #expect(queues == 4 * fleet.allHosts.count + 2 + nodes.count)
                let load = ClusterLoad(fleet)
                try await load.run(callersPerClient: Self.callersPerClient) {
                    for round in 1...Self.kills { try await Self.lose(nodes, round, fleet, load) }
                }
                try await Self.report(nodes, "after the load")
                #expect(try await BrokerFigures(nodes[0]).queues == queues)
                try await Self.check(fleet, load)
            }
        }
    }

    private func settings(_ nodes: [PrivateBroker]) -> Fleet.Settings {
        // Each client has another node first; where a worker goes, it draws.
        let urls = nodes.indices.map { first in
            let order = nodes[first...] + nodes[..<first]
            return "rabbit://" + order.map { "guest:guest@\($0.host):\($0.port)" }.joined(separator: ",") + "/"
        }
        var settings = Fleet.Settings(url: urls[0], clientURLs: urls)
        settings.workers = Self.workers
        settings.hostsPerWorker = Self.hostsPerWorker
        settings.options = [
            "oslo_messaging_rabbit": ["rabbit_quorum_queue": "true", "rabbit_transient_quorum_queue": "true"],
            "simulated": ["boot_lines": "1"],
        ]
        settings.topology = Self.topology
        return settings
    }

    private static var topology: TopologyOptions {
        var topology = TopologyOptions()
        topology.quorumQueue = true
        topology.transientQuorumQueue = true
        return topology
    }

    /// Kills any node but the first, through whose port mapper the others find each other, and lets it return.
    private static func lose(
        _ nodes: [PrivateBroker],
        _ round: Int,
        _ fleet: Fleet,
        _ load: ClusterLoad
    ) async throws {
        try await load.flows("before kill \(round)")
        let number = Int.random(in: 1..<nodes.count)
        load.beginFault()
        let killed = ContinuousClock.now
        try await nodes[number].kill()
        // One whose first message to each queue comes while the queues have no leader: the nodes then point it to the
        // dead one.
        async let reached = reachAll(fleet, of: nodes[0])
        for client in fleet.clients { try await fleet.untilAllAnswer(client) }
        let answered = ContinuousClock.now - killed
        try await load.flows("after kill \(round)")
        let newcomerTook = try await reached
        let fault = load.endFault()
        print(
            """
            kill \(round), node \(number + 1): all hosts answered the fan-outs of all clients after \(answered), the \
            longest time without any answer \(fault.longestGap), the slowest call \(fault.slowestCall); \
            a client that came just then had reached each host after \(newcomerTook); load \(FleetReport.load)
            """
        )
        try await nodes[number].start()
        try await eventually(timeout: .seconds(120), "the node's return to the cluster") {
            let running = "{All, _} = rpc:multicall(rabbit, is_running, []), length([R || R <- All, R =:= true])"
            return try await nodes[0].evaluate(running) == "\(nodes.count)"
        }
        for client in fleet.clients { try await fleet.untilAllAnswer(client) }
        try await load.flows("after the return from kill \(round)")
    }

    /// - Returns: how long it took until a client that is new to the cluster had a message in each host's queue.
    private static func reachAll(_ fleet: Fleet, of node: PrivateBroker) async throws -> Duration {
        let start = ContinuousClock.now
        try await withRPCClient(
            connection: try ConnectionOptions(transportURL: node.url),
            settings: RPCClientSettings(topology: topology),
            logger: Logger(label: "newcomer") { _ in SwiftLogNoOpLogHandler() }
        ) { client in
            try await everywhere(fleet.allHosts, width: 256) { host in
                try await client.cast(Fleet.target(host), "ping", mandatory: true)
            }
        }
        return .now - start
    }

    /// What each node has and needs.
    private static func report(_ nodes: [PrivateBroker], _ moment: String) async throws {
        for (number, node) in nodes.enumerated() {
            let disk = try await runCommand("du", ["-sk", node.directory + "/mnesia"]).split(separator: "\t").first
            let figures = try await BrokerFigures(node)
            print("\(moment), node \(number + 1): \(figures), \(disk ?? "?") KiB on disk")
        }
    }

    /// Every request is in a journal once and has ended, every machine is in its place, booted as often as it should.
    ///
    /// A cast to the topic that was in flight when a connection was lost may be with two hosts: neither its client, when
    /// the confirmation is missing, nor its worker's broker, when the acknowledgement is, can know of the other.
    private static func check(_ fleet: Fleet, _ load: ClusterLoad) async throws {
        let sent = load.sent
        try await fleet.untilSettled(instances: sent.machines.count, orMore: true)
        let boots = Dictionary(uniqueKeysWithValues: sent.boots.map { ($0.key, $0.value + 1) })
        let placed = try fleet.machines(boots: boots)
        let hosts = Dictionary(grouping: placed, by: \.uuid)
        var takenTwice = 0
        for machine in sent.machines {
            let found = hosts[machine.uuid]?.map(\.host) ?? []
            if machine.isAnywhere, found.count == 2 {
                takenTwice += 1
            } else {
                #expect(
                    found.count == 1 && (machine.isAnywhere || found == [machine.host]),
                    "\(machine.uuid): \(found)"
                )
            }
        }
        #expect(placed.count == sent.machines.count + takenTwice)
        // Each caller has one cast in flight.
        #expect(takenTwice <= kills * callersPerClient * fleet.clients.count)
        try await fleet.terminate()
        let accepted = try await fleet.checkJournals()
        #expect(accepted == sent.requests + takenTwice, "accepted and sent")
        print(
            """
            \(sent.requests) requests (\(sent.answered) calls, all answered; \(sent.machines.count) machines), \
            \(accepted) accepted, \(takenTwice) casts to the topic by two hosts, \
            \(sent.requests + takenTwice - accepted) lost; workers: \(Fleet.build)
            """
        )
    }
}
