import AMQPModel
import Foundation
import Support
import Synchronization
import TestSupport
import Testing

@testable import AMQPTransport

/// Against brokers of their own, which are killed, blocked and reached over TLS.
@Suite(.enabled(if: PrivateBroker.isAvailable), .serialized, .timeLimit(.minutes(4)))
struct BrokerFailureTests {
    @Test(arguments: [true, false]) func noMessageIsLostOverARestart(killed: Bool) async throws {
        try await PrivateBroker.run { broker in
            let recorder = Recorder()
            let topology = queueTopology("q", durable: true)
            try await withSession(.url(broker.url), topology: topology, handler: recorder) { session in
                let sent = Mutex(0)
                let outcomes = Mutex<[PublishOutcome: Int]>([:])
                // A killed broker may have forgotten a queue declared just before, and the messages in it, confirmed or
                // not: what it knows of queues it writes down later.
                _ = try await broker.evaluate("mnesia:sync_log()")
                // Until a queue is declared again, messages come back, which is for their sender to repeat.
                @Sendable func send(_ number: Int) {
                    session.publish(.to(queue: "q", "\(number)")) { outcome in
                        if case .returned = outcome { return send(number) }
                        outcomes.withLock { $0[outcome, default: 0] += 1 }
                    }
                }
                func publish(_ count: Int) {
                    for _ in 0..<count {
                        let number = sent.withLock { sent in
                            sent += 1
                            return sent
                        }
                        send(number)
                    }
                }
                publish(2000)
                if killed { try await broker.kill() } else { try await broker.stop() }
                publish(2000)
                try await eventually { recorder.losses >= 2 }
                try await broker.start()
                try await eventually(timeout: .seconds(60)) { session.status.isReady }
                try await eventually { session.status.outboundMessages == 0 }
                #expect(outcomes.withLock { $0 } == [.confirmed: 4000])
                try await eventually { Set(recorder.bodies).count == 4000 }
            }
        }
    }

    @Test func aBlockedConnectionHoldsMessagesBackAndTakesNoFurtherWork() async throws {
        try await PrivateBroker.run { broker in
            let recorder = Recorder()
            var settings = SessionSettings()
            settings.outboundMessages = 100
            let topology = queueTopology("q")
            let options = try ConnectionOptions.url(broker.url, heartbeatSeconds: 1)
            try await withSession(options, topology: topology, settings: settings, handler: recorder) { session in
                try await broker.setPublishersBlocked(true)
                let confirmed = Mutex(0)
                for number in 0..<150 {
                    session.publish(.to(queue: "q", "\(number)")) { outcome in
                        if outcome == .confirmed { confirmed.withLock { $0 += 1 } }
                    }
                }
                try await eventually { session.status.blocked && recorder.events.contains(.throttled(true)) }
                // Longer than the peers' patience without heartbeats.
                let start = ContinuousClock.now
                try await eventually { ContinuousClock.now - start > .seconds(4) }
                #expect(recorder.losses == 0)
                #expect(session.status.confirmed < 150)
                try await broker.setPublishersBlocked(false)
                try await eventually { confirmed.withLock { $0 } == 150 }
                try await eventually { recorder.events.contains(.throttled(false)) && recorder.deliveries.count == 150 }
                #expect(recorder.events.contains(.unblocked))
                #expect(!session.status.blocked)
            }
        }
    }

    @Test func publishingIsRefusedWhenFarTooMuchWaits() async throws {
        let nowhere = try ConnectionOptions.url("rabbit://guest:guest@127.0.0.1:1/")
        var settings = SessionSettings()
        settings.outboundMessages = 10
        try await withSession(nowhere, settings: settings, handler: Recorder(), ready: false) { session in
            let failed = Mutex(0)
            for _ in 0..<30 {
                session.publish(.to(queue: "q", "x")) { outcome in
                    if case .failed(let reason) = outcome, reason.hasPrefix("too much") { failed.withLock { $0 += 1 } }
                }
            }
            #expect(failed.withLock { $0 } == 10)
            #expect(session.status.outboundMessages == 20)
            try await eventually { session.status.consuming.state != .idle }
            // Nobody will ever confirm them; the orderly end would wait for that.
            await session.close(draining: .zero)
            #expect(session.status.outboundMessages == 0)
        }
    }

    @Test func certificatesAreCheckedAndPresented() async throws {
        try await PrivateBroker.run(tls: true) { broker in
            var options = try ConnectionOptions.url(broker.tlsURL)
            let tls = TLSOptions(
                caFile: broker.tlsDirectory + "/ca.pem",
                certificateFile: broker.tlsDirectory + "/client.pem",
                keyFile: broker.tlsDirectory + "/client.key"
            )
            options.tls = tls
            let recorder = Recorder()
            try await withSession(options, topology: queueTopology("q"), handler: recorder) { session in
                let large = [UInt8](repeating: 7, count: 3_000_000)
                let outcomes = Mutex(0)
                for number in 0..<2000 {
                    session.publish(.to(queue: "q", "\(number)")) { _ in outcomes.withLock { $0 += 1 } }
                }
                #expect(try await session.publish(.to(queue: "q", large)) == .confirmed)
                try await eventually { recorder.deliveries.count == 2001 }
                #expect(recorder.deliveries.last?.body == large)
            }

            var wrongAuthority = options
            wrongAuthority.tls?.caFile = broker.tlsDirectory + "/other-ca.pem"
            try await expectFailure(wrongAuthority, "certificate verify failed")

            var wrongName = options
            wrongName.addresses[0].host = "127.0.0.1"
            try await expectFailure(wrongName, "not for the host name")

            var unchecked = wrongName
            unchecked.tls?.verifyHostName = false
            try await withSession(unchecked, handler: Recorder()) { session in #expect(session.status.isReady) }

            var missingKey = options
            missingKey.tls?.keyFile = broker.tlsDirectory + "/nothing.key"
            try await expectFailure(missingKey, "No such file")

            var noKey = options
            noKey.tls?.keyFile = broker.tlsDirectory + "/ca.pem"
            try await expectFailure(noKey, "no PEM data of that kind")
        }
    }

    private func expectFailure(_ options: ConnectionOptions, _ words: String) async throws {
        let recorder = Recorder()
        try await withSession(options, handler: recorder, ready: false) { _ in
            try await eventually("a failure with '\(words)'") {
                recorder.events.contains { event in
                    guard case .connectFailed(_, _, let reason, permanent: true) = event else { return false }
                    return reason.contains(words)
                }
            }
        }
    }
}
