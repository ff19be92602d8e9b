import DaemonBench
import Foundation
import Support
import TestSupport
import Testing

/// The broker goes and comes back under load: nothing is lost, nothing done twice.
@Suite(
    .enabled(if: PrivateBroker.isAvailable),
    .timeLimit(.minutes(30)),
    .serialized
)
struct BrokerTroubleTests {
    /// How often each trouble comes.
    private static let rounds = TestForm.number("VMOPS_TEST_TROUBLES", short: 1, long: 10)

    @Test func theBrokerIsRestartedBlockedAndRefuses() async throws {
        try await PrivateBroker.run { broker in
            try await Bench.run(DaemonSettings(options: BrokerRounds.options, url: broker.url)) { bench in
                try await Traffic.run(bench, BrokerRounds.traffic()) { traffic in
                    for _ in 0..<Self.rounds {
                        try await traffic.survives("connections closed by the administrator") {
                            try await broker.closeConnections(virtualHost: "/")
                        }
                        try await traffic.survives("memory alarm") { try await broker.raiseAlarm() }
                        try await traffic.survives("revoked password") { try await broker.revokePassword() }
                        try await traffic.survives("removed permission") { try await broker.removePermission() }
                    }
                }
            }
        }
    }

    @Test func theBrokerIsStoppedAndKilledAndLosesQueues() async throws {
        try await BrokerRounds.losses(Self.rounds) { _ in }
    }

    @Test func aNodeOfAClusterIsLost() async throws {
        try await BrokerRounds.cluster(Self.rounds) { _ in }
    }

    @Test func aDeadFirstHostIsPassedOver() async throws {
        try await PrivateBroker.run { broker in
            var settings = DaemonSettings(options: BrokerRounds.options)
            // Nothing listens on port 1.
            settings.url = "rabbit://guest:guest@127.0.0.1:1,guest:guest@127.0.0.1:\(broker.port)/"
            try await Bench.run(settings, clientURL: broker.url) { bench in
                try await Traffic.run(bench, BrokerRounds.traffic(losesRequests: true)) { traffic in
                    try await traffic.survives("kill -9 of the living one") {
                        try await broker.kill()
                        try await broker.start()
                    }
                }
            }
        }
    }
}
