import AMQPModel
import Support
import Synchronization
import TestSupport
import Testing

@testable import AMQPTransport

/// Against a real broker, each test in a virtual host of its own.
@Suite(.enabled(if: TestBroker.isAvailable, "\(TestBroker.missing)"), .timeLimit(.minutes(5)))
struct RoundTripTests {
    @Test(arguments: [0, 1, 100, 131_064, 131_065, 1 << 20]) func aBodyArrivesAsItWasSent(size: Int) async throws {
        var generator = SplitMix(state: UInt64(size))
        let body = (0..<size).map { _ in UInt8.random(in: 0...255, using: &generator) }
        try await TestBroker.withVirtualHost { url in
            let recorder = Recorder()
            try await withSession(.url(url), topology: queueTopology("q"), handler: recorder) { session in
                #expect(try await session.publish(.to(queue: "q", body)) == .confirmed)
                try await eventually { recorder.deliveries.count == 1 }
                let delivery = try #require(recorder.deliveries.first)
                #expect(delivery.body == body)
                #expect(delivery.routingKey == "q")
                #expect(delivery.exchange == "")
                #expect(delivery.consumerTag == "1")
                #expect(!delivery.redelivered)
            }
        }
    }

    @Test func propertiesAndHeadersKeepTheirValues() async throws {
        let properties = MessageProperties(
            contentType: "application/json",
            contentEncoding: "utf-8",
            headers: [
                "text": .string("ä\u{1F600}"), "yes": .bool(true), "small": .int(-5), "large": .int(1 << 40),
                "nested": .table(["inner": .string("x")]),
            ],
            deliveryMode: 2,
            priority: 0,
            expiration: "60000"
        )
        try await TestBroker.withVirtualHost { url in
            let recorder = Recorder()
            try await withSession(.url(url), topology: queueTopology("q"), handler: recorder) { session in
                var message = OutboundMessage.to(queue: "q", "{}")
                message.properties = properties
                _ = try await session.publish(message)
                message.properties = MessageProperties()
                _ = try await session.publish(message)
                try await eventually { recorder.deliveries.count == 2 }
                #expect(recorder.deliveries.map(\.properties) == [properties, MessageProperties()])
            }
        }
    }

    @Test func tenThousandMessagesArriveOnceAndInOrder() async throws {
        let count = 10_000
        try await TestBroker.withVirtualHost { url in
            let recorder = Recorder()
            let outcomes = Mutex<[PublishOutcome: Int]>([:])
            try await withSession(.url(url), topology: queueTopology("q"), handler: recorder) { session in
                for number in 0..<count {
                    session.publish(.to(queue: "q", "\(number)")) { outcome in
                        outcomes.withLock { $0[outcome, default: 0] += 1 }
                    }
                }
                try await eventually { recorder.deliveries.count >= count && session.status.outboundMessages == 0 }
                #expect(session.status.outboundBytes == 0)
            }
            #expect(outcomes.withLock { $0 } == [.confirmed: count])
            #expect(recorder.bodies == (0..<count).map(String.init))
        }
    }

    @Test func aMandatoryMessageWithoutQueueIsReturnedAndOthersAreNot() async throws {
        try await TestBroker.withVirtualHost { url in
            try await withSession(
                .url(url),
                topology: queueTopology("q", consume: false),
                handler: Recorder()
            ) { session async throws in
                async let first = session.publish(.to(queue: "q", "1"))
                async let second = session.publish(.to(queue: "nobody", "2"))
                async let third = session.publish(.to(queue: "nobody", Array("3".utf8), mandatory: false))
                #expect(try await first == .confirmed)
                #expect(try await second == .returned(code: 312, text: "NO_ROUTE"))
                #expect(try await third == .confirmed)
            }
        }
    }

    @Test func repliesMadeInTheHandlerReachTheirQueues() async throws {
        try await TestBroker.withVirtualHost { url in
            let client = Recorder()
            try await withSession(.url(url), topology: queueTopology("server"), handler: Echo()) { _ in
                try await withSession(.url(url), topology: queueTopology("client"), handler: client) { session in
                    for number in 0..<500 {
                        var message = OutboundMessage.to(queue: "server", "\(number)")
                        message.properties.headers = ["reply-to": .string("client")]
                        session.publish(message, completion: nil)
                    }
                    try await eventually { client.deliveries.count == 500 }
                }
            }
            #expect(client.bodies == (0..<500).map(String.init))
        }
    }

    @Test func rejectedMessagesComeAgainOrNotAsAsked() async throws {
        try await TestBroker.withVirtualHost { url in
            let recorder = Recorder { $0.redelivered ? .reject(requeue: false) : .reject(requeue: true) }
            try await withSession(.url(url), topology: queueTopology("q"), handler: recorder) { session in
                _ = try await session.publish(.to(queue: "q", "1"))
                try await eventually { recorder.deliveries.count == 2 }
            }
            #expect(recorder.deliveries.map(\.redelivered) == [false, true])
        }
    }

    @Test func deliveriesSettledLaterFromAnotherThreadAreGone() async throws {
        try await TestBroker.withVirtualHost { url in
            let recorder = Recorder { _ in nil }
            try await withSession(.url(url), topology: queueTopology("q"), handler: recorder) { session in
                for number in 0..<50 { session.publish(.to(queue: "q", "\(number)"), completion: nil) }
                try await eventually { recorder.deliveries.count == 50 }
                for delivery in recorder.deliveries.shuffled() { session.settle(delivery.receipt, .acknowledge) }
            }
            let second = Recorder()
            try await withSession(.url(url), topology: queueTopology("q"), handler: second) { session in
                _ = try await session.publish(.to(queue: "q", "last"))
                try await eventually { !second.deliveries.isEmpty }
            }
            #expect(second.bodies == ["last"])
        }
    }

    @Test func anOversizedMessageIsReportedWithoutItsBody() async throws {
        try await TestBroker.withVirtualHost { url in
            let recorder = Recorder { $0.discardedBytes > 0 ? .reject(requeue: false) : .acknowledge }
            var settings = SessionSettings()
            settings.maximumMessageBytes = 1000
            try await withSession(.url(url), handler: Recorder()) { sender in
                try await withSession(.url(url), topology: queueTopology("q"), settings: settings, handler: recorder) {
                    receiver in
                    _ = try await sender.publish(.to(queue: "q", [UInt8](repeating: 1, count: 300_000)))
                    _ = try await sender.publish(.to(queue: "q", "small"))
                    try await eventually { recorder.deliveries.count == 2 }
                    #expect(recorder.deliveries.map(\.discardedBytes) == [300_000, 0])
                    #expect(recorder.bodies == ["", "small"])
                    #expect(receiver.status.oversized == 1)
                    let refused = try await receiver.publish(.to(queue: "q", [UInt8](repeating: 1, count: 1001)))
                    guard case .failed = refused else {
                        Issue.record("a message above the limit was \(refused)")
                        return
                    }
                }
            }
        }
    }

    @Test func anExchangeIsDeclaredBeforeTheMessageThatNeedsIt() async throws {
        try await TestBroker.withVirtualHost { url in
            let exchange = TopologyStep.exchange(
                ExchangeDeclaration(name: "t_fanout", kind: .fanout, autoDelete: true)
            )
            try await withSession(.url(url), handler: Recorder()) { session async throws in
                var message = OutboundMessage.to(queue: "", "x")
                message.mandatory = false
                message.exchange = "t_fanout"
                #expect(try await session.publish(message, declaring: [exchange]) == .confirmed)
                #expect(try await session.publish(message, declaring: [exchange]) == .confirmed)
            }
        }
    }

    @Test func aMessageToAMissingExchangeFailsAndTheOthersAreConfirmed() async throws {
        try await TestBroker.withVirtualHost { url in
            try await withSession(
                .url(url),
                topology: queueTopology("q", consume: false),
                handler: Recorder()
            ) { session in
                var lost = OutboundMessage.to(queue: "q", "lost")
                lost.exchange = "no-such-exchange"
                let bad = lost
                try await withThrowingTaskGroup(of: (Int, PublishOutcome).self) { group in
                    for number in 0..<20 {
                        group.addTask {
                            (number, try await session.publish(number == 7 ? bad : .to(queue: "q", "\(number)")))
                        }
                    }
                    for try await (number, outcome) in group {
                        if number == 7 {
                            guard case .failed(let reason) = outcome else {
                                Issue.record("\(outcome)")
                                continue
                            }
                            #expect(reason.contains("no-such-exchange"))
                        } else {
                            #expect(outcome == .confirmed)
                        }
                    }
                }
            }
        }
    }

    @Test func namesThatDoNotFitTheWireAreRefused() async throws {
        try await TestBroker.withVirtualHost { url in
            try await withSession(.url(url), handler: Recorder()) { session in
                let outcome = try await session.publish(.to(queue: String(repeating: "k", count: 256), "x"))
                #expect(outcome == .failed("routing key longer than 255 bytes"))
            }
        }
    }
}
