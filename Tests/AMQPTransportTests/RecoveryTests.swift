import AMQPModel
import Foundation
import Support
import Synchronization
import TestSupport
import Testing

@testable import AMQPTransport

/// What happens when links break, against the shared broker behind a proxy.
@Suite(.enabled(if: TestBroker.isAvailable, "\(TestBroker.missing)"), .timeLimit(.minutes(5)))
struct RecoveryTests {
    /// Runs `body` with a proxy and a URL of a virtual host of its own behind it.
    private func withProxy(_ body: @Sendable (FaultProxy, _ url: String) async throws -> Void) async throws {
        let broker = try #require(TestBroker.shared)
        try await broker.withVirtualHost { url in
            try await FaultProxy.run(to: broker) { proxy in try await body(proxy, url) }
        }
    }

    @Test func aResetLinkIsReplacedAndNoMessageIsLost() async throws {
        try await withProxy { proxy, url in
            let recorder = Recorder()
            let options = try ConnectionOptions.url(url, port: proxy.port)
            let topology = queueTopology("q", durable: true)
            try await withSession(options, topology: topology, handler: recorder) { session in
                let outcomes = Mutex<[PublishOutcome: Int]>([:])
                for number in 0..<3000 {
                    session.publish(.to(queue: "q", "\(number)")) { outcome in
                        outcomes.withLock { $0[outcome, default: 0] += 1 }
                    }
                    if number == 1500 { try await proxy.cut() }
                }
                try await eventually { session.status.outboundMessages == 0 }
                #expect(outcomes.withLock { $0 } == [.confirmed: 3000])
                try await eventually { Set(recorder.bodies).count == 3000 }
                #expect(recorder.losses >= 2)
                #expect(session.status.isReady)
            }
        }
    }

    @Test func aSilentLinkIsNoticedByItsHeartbeats() async throws {
        try await withProxy { proxy, url in
            let recorder = Recorder()
            let options = try ConnectionOptions.url(url, port: proxy.port, heartbeatSeconds: 1)
            try await withSession(options, topology: queueTopology("q"), handler: recorder) { session in
                try await proxy.freeze()
                try await eventually { recorder.losses == 2 }
                try await proxy.resume()
                try await eventually { session.status.isReady }
                _ = try await session.publish(.to(queue: "q", "after"))
                try await eventually { recorder.bodies == ["after"] }
            }
        }
    }

    @Test func anIdleLinkStaysUpOnItsHeartbeats() async throws {
        try await withProxy { proxy, url in
            let recorder = Recorder()
            let options = try ConnectionOptions.url(url, port: proxy.port, heartbeatSeconds: 1)
            try await withSession(options, topology: queueTopology("q"), handler: recorder) { _ in
                let before = try await proxy.statistics()
                // Each heartbeat is 8 bytes; the broker ends a connection after two silent seconds.
                try await eventually { try await proxy.statistics().bytesToBroker >= before.bytesToBroker + 96 }
                #expect(recorder.losses == 0)
            }
        }
    }

    @Test func heartbeatsGoOutWhileEveryPoolThreadIsBusy() async throws {
        try await TestBroker.withVirtualHost { url in
            let recorder = Recorder()
            let options = try ConnectionOptions.url(url, heartbeatSeconds: 1)
            try await withSession(options, topology: queueTopology("q"), handler: recorder) { session in
                await withTaskGroup(of: Void.self) { group in
                    for _ in 0..<16 {
                        group.addTask {
                            // Longer than the broker waits for a sign of life, and without ever giving way.
                            let start = Moment.now()
                            while Moment.now().since(start) < 3_000_000_000 {}
                        }
                    }
                }
                _ = try await session.publish(.to(queue: "q", "alive"))
                try await eventually { recorder.bodies == ["alive"] }
                #expect(recorder.losses == 0)
            }
        }
    }

    @Test func aConnectionClosedByAnAdministratorComesBackUnderTheSameNames() async throws {
        let broker = try #require(TestBroker.shared)
        let name = "test-\(UniqueID.make())"
        try await broker.withVirtualHost(named: name) { url in
            let recorder = Recorder()
            try await withSession(.url(url), topology: queueTopology("q"), handler: recorder) { session in
                try await broker.closeConnections(virtualHost: name)
                try await eventually { recorder.losses == 2 && session.status.isReady }
                _ = try await session.publish(.to(queue: "q", "again"))
                try await eventually { recorder.bodies == ["again"] }
                #expect(session.status.consuming.generation >= 2)
            }
        }
    }

    @Test func aDeletedQueueIsDeclaredAndConsumedAgainAndOthersAreNotDisturbed() async throws {
        let broker = try #require(TestBroker.shared)
        let name = "test-\(UniqueID.make())"
        try await broker.withVirtualHost(named: name) { url in
            let recorder = Recorder()
            let topology = queueTopology("a", tag: "1") + queueTopology("b", tag: "2")
            try await withSession(.url(url), topology: topology, handler: recorder) { session in
                for round in 1...3 {
                    try await broker.deleteQueue("a", virtualHost: name)
                    try await eventually {
                        recorder.count(where: { $0 == .consumerCancelled(queue: "a") }) == round
                    }
                    try await eventually { try await session.publish(.to(queue: "a", "a\(round)")) == .confirmed }
                    try await eventually { recorder.bodies.contains("a\(round)") }
                }
                _ = try await session.publish(.to(queue: "b", "b"))
                try await eventually { recorder.bodies.contains("b") }
                #expect(recorder.losses == 0)
                #expect(session.status.consuming.generation == 1)
            }
        }
    }

    @Test func aDeadFirstHostIsPassedOver() async throws {
        let broker = try #require(TestBroker.shared)
        try await broker.withVirtualHost { url in
            // The proxy's port after it stopped listening: refused. TEST-NET-1: nobody answers.
            try await FaultProxy.run(to: broker) { proxy in
                try await proxy.refuse()
                var options = try ConnectionOptions.url(url)
                options.connectTimeout = .milliseconds(500)
                let good = options.addresses[0]
                var refused = good
                refused.port = proxy.port
                var silent = good
                silent.host = "192.0.2.1"
                options.addresses = [refused, silent, good]
                let recorder = Recorder()
                try await withSession(options, topology: queueTopology("q"), handler: recorder) { session in
                    _ = try await session.publish(.to(queue: "q", "x"))
                    try await eventually { recorder.bodies == ["x"] }
                    #expect(session.status.consuming.address == good.description)
                }
            }
        }
    }

    @Test func theBrokerIsReachedOverIPv6() async throws {
        try await TestBroker.withVirtualHost { url in
            var options = try ConnectionOptions.url(url)
            options.addresses[0].host = "::1"
            let recorder = Recorder()
            try await withSession(options, topology: queueTopology("q"), handler: recorder) { session in
                let outcome = try await session.publish(.to(queue: "q", "x"))
                #expect(outcome == .confirmed)
                #expect(session.status.consuming.address?.hasPrefix("[::1]:") == true)
            }
        }
    }

    @Test func anExistingQueueWithOtherPropertiesIsUsedAndReported() async throws {
        try await TestBroker.withVirtualHost { url in
            let other: [TopologyStep] = [
                .exchange(ExchangeDeclaration(name: "x", kind: .topic, durable: true)),
                .queue(QueueDeclaration(name: "q", durable: true)),
            ]
            try await withSession(.url(url), topology: other, handler: Recorder()) { _ in }
            let wanted: [TopologyStep] = [
                .exchange(ExchangeDeclaration(name: "x", kind: .topic)), .queue(QueueDeclaration(name: "q")),
                .binding(BindingDeclaration(queue: "q", exchange: "x", routingKey: "k")),
                .consumer(ConsumerDeclaration(queue: "q", tag: "1")),
            ]
            let recorder = Recorder()
            try await withSession(.url(url), topology: wanted, handler: recorder) { session in
                var message = OutboundMessage.to(queue: "k", "through the binding")
                message.exchange = "x"
                #expect(try await session.publish(message) == .confirmed)
                try await eventually { recorder.bodies == ["through the binding"] }
            }
            let mismatches = recorder.events.compactMap { event -> TopologyStep? in
                if case .topologyMismatch(let step, _) = event { step } else { nil }
            }
            #expect(mismatches == Array(wanted[..<2]))
            #expect(recorder.losses == 0)
        }
    }

    @Test func wrongCredentialsAreReportedAsPermanent() async throws {
        try await TestBroker.withVirtualHost { url in
            var options = try ConnectionOptions.url(url)
            options.addresses[0].password = Redacted("wrong")
            let recorder = Recorder()
            try await withSession(options, handler: recorder, ready: false) { _ in
                try await eventually {
                    recorder.events.contains { event in
                        guard case .connectFailed(_, _, let reason, permanent: true) = event else { return false }
                        return reason.contains("ACCESS_REFUSED")
                    }
                }
            }
        }
    }

    @Test func aMissingVirtualHostIsReportedAsPermanent() async throws {
        let broker = try #require(TestBroker.shared)
        let recorder = Recorder()
        let options = try ConnectionOptions.url(broker.transportURL(virtualHost: "nowhere"))
        try await withSession(options, handler: recorder, ready: false) { _ in
            try await eventually {
                recorder.events.contains { event in
                    guard case .connectFailed(_, _, let reason, permanent: true) = event else { return false }
                    return reason.contains("530")
                }
            }
        }
    }
}
