import DaemonBench
import Foundation
import Support
import TestSupport
import Testing

/// The broker stays, and the way to it breaks or is slow to tell: nothing is lost, nothing done twice.
@Suite(
    .enabled(if: PrivateBroker.isAvailable),
    .timeLimit(.minutes(30)),
    .serialized
)
struct NetworkTroubleTests {
    /// How often each trouble comes.
    private static let rounds = TestForm.number("VMOPS_TEST_TROUBLES", short: 1, long: 10)

    @Test func theNetworkFreezesAndBreaks() async throws {
        try await PrivateBroker.run { broker in
            try await FaultProxy.run(to: broker) { proxy in
                var settings = DaemonSettings(options: BrokerRounds.options)
                settings.url = broker.transportURL(virtualHost: "", port: proxy.port)
                try await Bench.run(settings, clientURL: broker.url) { bench in
                    try await Traffic.run(bench, BrokerRounds.traffic()) { traffic in
                        for _ in 0..<Self.rounds {
                            try await traffic.survives("reset connections") { try await proxy.cut() }
                            try await traffic.survives("silent freeze") { try await proxy.freezeUntilNoticed(.both) }
                            try await traffic.survives("freeze of one direction") {
                                try await proxy.freezeUntilNoticed(.toClient)
                            }
                            try await traffic.survives("refused connections") { try await proxy.refuseAWhile() }
                        }
                    }
                }
            }
        }
    }

    /// As a cable that is pulled: no packet, no reset.
    @Test(.enabled(if: NetworkNamespace.isAvailable))
    func theNetworkGoesAwayWithoutAWord() async throws {
        try await NetworkNamespace.run { network in
            let listener = ["listeners.tcp.9": "\(network.outside):5672"]
            try await PrivateBroker.run(configuration: listener) { broker in
                var settings = DaemonSettings(options: BrokerRounds.options)
                settings.url = "rabbit://guest:guest@\(network.outside):5672/"
                settings.command = network.command(Checkout.program("vmopsd"))
                // guest may only come from this machine, and does: but the broker sees another address.
                try await broker.evaluate("application:set_env(rabbit, loopback_users, [])")
                try await Bench.run(settings, clientURL: broker.url) { bench in
                    try await Traffic.run(bench, BrokerRounds.traffic()) { traffic in
                        for _ in 0..<Self.rounds {
                            try await traffic.survives("network cut without a word") {
                                let losses = bench.daemon.logLines.count { $0.contains("connection lost") }
                                try await network.cut()
                                try await eventually(timeout: .seconds(60), "the loss is noticed") {
                                    bench.daemon.logLines.count { $0.contains("connection lost") } > losses
                                }
                                try await network.mend()
                            }
                        }
                    }
                }
            }
        }
    }

    @Test(.enabled(if: TestBroker.isAvailable, Comment(rawValue: TestBroker.missing)))
    func heartbeatsGoOutWhileSlowOperationsRun() async throws {
        try await PrivateBroker.run { broker in
            let settings = DaemonSettings(
                options: [
                    "oslo_messaging_rabbit": ["heartbeat_timeout_threshold": "2"],
                    "simulated": ["delay_set_state_ms": "8000"],
                ],
                url: broker.url
            )
            try await Bench.run(settings) { bench in
                let instances = (0..<64).map { TestInstance("vm-\($0)", on: $0 % 2 == 0 ? "host-a" : "host-b") }
                let before = try await broker.connections()
                try await withThrowingTaskGroup(of: Void.self) { group in
                    for instance in instances { group.addTask { try await bench.spawn(instance) } }
                    try await eventually(timeout: .seconds(60), "64 operations") {
                        try await bench.metric("vmops_rpc_running") == 64
                    }
                    try await group.waitForAll()
                }
                // The broker closes a connection that is silent for two heartbeat intervals.
                #expect(try await broker.connections() == before)
                #expect(!bench.daemon.log.contains("connection lost"), "\(bench.daemon.log)")
                #expect(!broker.hasMissedHeartbeats)
            }
        }
    }
}
