import DaemonBench
import Foundation
import Support
import TestSupport
import Testing

/// The broker goes, comes back, or is cut off, while calls are on their way.
@Suite(
    .enabled(if: PrivateBroker.isAvailable),
    .timeLimit(.minutes(8)),
    .serialized
)
struct BrokerTroubleTests {
    private static let options = [
        "oslo_messaging_rabbit": ["heartbeat_timeout_threshold": "4"],
        "simulated": ["delay_set_state_ms": "20"],
    ]

    @Test func theBrokerIsStoppedKilledBlockedAndLosesQueues() async throws {
        try await PrivateBroker.run { broker in
            let settings = DaemonSettings(options: Self.options, url: broker.url)
            try await Bench.run(settings) { bench in
                try await Load.run(bench) { load in
                    try await load.survives("orderly restart of the broker") { try await broker.restart() }
                    try await load.survives("kill -9 of the broker") {
                        try await broker.kill()
                        try await broker.start()
                    }
                    try await load.survives("deleted queues") {
                        try await broker.deleteQueue("compute.host-a", virtualHost: "/")
                        try await broker.deleteQueue("compute.host-b", virtualHost: "/")
                        try await broker.deleteQueue("compute", virtualHost: "/")
                    }
                    try await load.survives("connections closed by the administrator") {
                        try await broker.closeConnections(virtualHost: "/")
                    }
                    try await load.survives("memory alarm") {
                        try await broker.setPublishersBlocked(true)
                        // Long enough for answers to pile up behind it.
                        try await Task.sleep(for: .seconds(1))
                        try await broker.setPublishersBlocked(false)
                    }
                    let queues = try await broker.queueNames(virtualHost: "/")
                    #expect(queues.contains("compute.host-a") && queues.contains("compute.host-b"))
                }
            }
        }
    }

    @Test func theNetworkFreezesAndBreaks() async throws {
        try await PrivateBroker.run { broker in
            try await FaultProxy.run(to: broker) { proxy in
                var settings = DaemonSettings(options: Self.options)
                settings.url = broker.transportURL(virtualHost: "", port: proxy.port)
                try await Bench.run(settings, clientURL: broker.url) { bench in
                    try await Load.run(bench, timeout: .seconds(40)) { load in
                        try await load.survives("reset connections") { try await proxy.cut() }
                        try await load.survives("silent freeze") {
                            let accepted = try await proxy.statistics().accepted
                            try await proxy.freeze()
                            try await eventually(timeout: .seconds(60), "new connections") {
                                try await proxy.statistics().accepted > accepted
                            }
                            try await proxy.resume()
                        }
                        try await load.survives("freeze of one direction") {
                            let accepted = try await proxy.statistics().accepted
                            try await proxy.freeze(.toClient)
                            try await eventually(timeout: .seconds(60), "new connections") {
                                try await proxy.statistics().accepted > accepted
                            }
                            try await proxy.resume()
                        }
                        try await load.survives("refused connections") {
                            try await proxy.refuse()
                            try await proxy.cut()
                            try await Task.sleep(for: .seconds(1))
                            try await proxy.accept()
                        }
                    }
                }
            }
        }
    }

    @Test func aDeadFirstHostIsPassedOver() async throws {
        try await PrivateBroker.run { broker in
            var settings = DaemonSettings(options: Self.options)
            // Nothing listens on port 1.
            settings.url = "rabbit://guest:guest@127.0.0.1:1,guest:guest@127.0.0.1:\(broker.port)/"
            try await Bench.run(settings, clientURL: broker.url) { bench in
                try await Load.run(bench) { load in
                    try await load.survives("kill -9 of the living one") {
                        try await broker.kill()
                        try await broker.start()
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
                let before = try await connections(broker)
                try await withThrowingTaskGroup(of: Void.self) { group in
                    for instance in instances { group.addTask { try await bench.spawn(instance) } }
                    try await eventually(timeout: .seconds(60), "64 operations") {
                        try await bench.metric("vmops_rpc_running") == 64
                    }
                    try await group.waitForAll()
                }
                // The broker closes a connection that is silent for two heartbeat intervals.
                #expect(try await connections(broker) == before)
                #expect(!bench.daemon.log.contains("connection lost"), "\(bench.daemon.log)")
                #expect(
                    !FileManager.default.contents(broker.directory + "/log/rabbit.log").contains("missed heartbeats")
                )
            }
        }
    }

    /// The broker's connections, by their process in the node.
    private func connections(_ broker: PrivateBroker) async throws -> String {
        try await broker.evaluate("lists:sort(rabbit_networking:connections())")
    }
}

extension FileManager {
    fileprivate func contents(_ path: String) -> String {
        contents(atPath: path).map { String(decoding: $0, as: UTF8.self) } ?? ""
    }
}
